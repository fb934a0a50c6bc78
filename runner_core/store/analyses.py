"""Calls the statements of analyses.sql: what is due, one job's state in one snapshot, and the analysis of a state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from runner_core.queries import Row, row, rows, run, single

ENDED = ("completed", "failed")  # the statuses of jobs that are analysed
TRIES = 5  # to read a job in one state


@dataclass(frozen=True)
class State:
    """One state of a job: its version with the newest label, 0 for none."""

    job_id: str
    job_version: int
    label_id: int


@dataclass(frozen=True)
class Snapshot:
    """A job in one state. `job`, `calls`, `labels`, `units` and `scores` are what `export` takes.

    `scores`: results of sentence embeddings by the key of the text; None where the rules alone give the categories.
    `judge`: the id of the judge whose labels count, None if none do; `measured`: what lets them count.
    """

    state: State
    job: Row
    calls: Sequence[Row]
    labels: Sequence[Row]
    units: Sequence[Row]
    scores: Mapping[bytes, Any] | None = None
    judge: str | None = None
    measured: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Analysis:
    """What a method made of a state. `input_sha256` has 32 bytes; `result` is JSON text."""

    state: State
    method: str
    input_sha256: bytes
    result: str
    elapsed_ms: int


@dataclass(frozen=True, order=True)
class Place:
    """A place between the ends of jobs and labels, by their times and jobs."""

    at: datetime
    job_id: str = ""


def clock(conn: Connection[Any]) -> tuple[datetime, datetime]:
    """Return the database's time, and the time since which jobs are analysed."""
    found = single(conn, "analyses.clock")
    return found["now"], found["horizon"]


def due_page(
    conn: Connection[Any], method: str, *, since: datetime, before: Place, page: int
) -> tuple[list[str], Place | None]:
    """Look at a page of ends and labels between `since` and `before`, newest first.

    Returns the jobs that are due, and where the next page begins; None if this is the last one.
    """
    names = {"method": method, "since": since, "before": before.at, "before_id": before.job_id, "page": page}
    found = rows(conn, "analyses.page", **names)
    due = list(dict.fromkeys(r["job_id"] for r in found if r["due"]))
    return due, Place(found[-1]["at"], found[-1]["job_id"]) if len(found) == page else None


def is_due(conn: Connection[Any], job_id: str, method: str) -> bool:
    """Return whether a job is due."""
    return bool(single(conn, "analyses.is_due", job_id=job_id, method=method)["due"])


def snapshot(conn: Connection[Any], job_id: str, characters: int) -> Snapshot | None:
    """Return an ended job in its present state, each text cut at `characters`.

    None if the job is not ended, is gone, or changes between the statements. State and calls are of one statement.
    What the other statements read is fixed (the job, its labels up to the newest of the state) or is compared with the
    calls (the executions).
    """
    calls = rows(conn, "analyses.calls", job_id=job_id, characters=characters)
    if not calls or calls[0]["job_status"] not in ENDED:
        return None
    state = State(job_id, calls[0]["job_version"], calls[0]["label_id"])
    labels = rows(conn, "labels.newest", job_id=job_id, label_id=state.label_id) if state.label_id else []
    units = rows(conn, "analyses.units", job_id=job_id)
    job = row(conn, "analyses.job", job_id=job_id)
    if job is None or {unit["execution_id"] for unit in units} != {call["execution_id"] for call in calls}:
        return None
    of_state = {"status": calls[0]["job_status"], "version": state.job_version, "label_id": state.label_id}
    return Snapshot(state, job | of_state, calls, labels, units)


def whole(conn: Connection[Any], job_id: str) -> Snapshot | None:
    """Return a job in its present state with its whole answers, for an export; None if there is no job.

    An ended job is of one state: it is read again if a retry or a label came between the statements. The statements
    share one round trip in a pipeline.
    """
    for _ in range(TRIES):
        read = [
            run(conn, "analyses.job", job_id=job_id),
            run(conn, "reads.rows", job_id=job_id),
            run(conn, "labels.newest", job_id=job_id, label_id=None),
            run(conn, "analyses.units", job_id=job_id),
            run(conn, "analyses.job", job_id=job_id),
        ]
        before, calls, labels, units, after = (cursor.fetchall() for cursor in read)
        if not before or not after:
            return None
        if before == after or after[0]["status"] not in ENDED:
            break
    job = after[0]
    return Snapshot(State(job_id, job["version"], job["label_id"]), job, calls, labels, units)


def add(conn: Connection[Any], analysis: Analysis) -> bool:
    """Store an analysis. Return False if its state has one, or the job is gone."""
    state = analysis.state
    return (
        row(
            conn,
            "analyses.add",
            job_id=state.job_id,
            job_version=state.job_version,
            label_id=state.label_id,
            method=analysis.method,
            input_sha256=analysis.input_sha256,
            result=analysis.result,
            elapsed_ms=analysis.elapsed_ms,
        )
        is not None
    )


def newest(
    conn: Connection[Any], job_id: str, *, method: str | None = None, input_sha256: bytes | None = None
) -> Row | None:
    """Return a job's present state with the analysis of its newest state that has one; None if there is no job.

    Of several methods the one of `show_method` counts. With `method` and `input_sha256` the analysis is by that method
    and of that input. The analysis' columns are null if there is no such analysis. `runner_api.views.analysis` reads
    the row.
    """
    return row(conn, "analyses.newest", job_id=job_id, method=method, input_sha256=input_sha256)


def add_label(
    conn: Connection[Any], answer_id: int, *, category: str, source: str, actor: str, note: str = ""
) -> Row | None:
    """Label an answer; return the label, None if there is no such answer or it has no text.

    Repeated, it returns the same label. The two statements need one transaction.
    """
    run(conn, "labels.lock", answer_id=answer_id)
    return row(conn, "labels.add", answer_id=answer_id, category=category, source=source, actor=actor, note=note)


def labels(conn: Connection[Any], job_id: str, after: int, page: int) -> list[Row]:
    """Return a page of a job's labels behind the label `after`, in the order of their ids."""
    return rows(conn, "labels.page", job_id=job_id, after=after, page=page)


def shown_method(conn: Connection[Any]) -> str | None:
    """Return the method whose analyses are shown; None before the first analyst."""
    found = row(conn, "analyses.shown_method")
    return found["method"] if found else None


def show_method(conn: Connection[Any], method: str) -> None:
    """Let the analyses of a method be shown from now on, where a job's state has analyses of several."""
    run(conn, "analyses.show_method", method=method)


def known_embeddings(conn: Connection[Any], model: str, texts: Sequence[bytes]) -> dict[bytes, Any]:
    """Return the kept results of a model by the SHA-256 of the text."""
    found = rows(conn, "embeddings.known", model=model, texts=[text.hex() for text in texts])
    return {bytes.fromhex(r["text_sha256"]): r["result"] for r in found}


def renew_embeddings(conn: Connection[Any], model: str, texts: Sequence[bytes]) -> None:
    """Let the kept results of these texts live as long as the jobs that are analysed now."""
    run(conn, "embeddings.renew", model=model, texts=[text.hex() for text in texts])


def keep_embeddings(conn: Connection[Any], model: str, results: dict[bytes, Any]) -> None:
    """Keep what a model made of texts, by the SHA-256 of the text."""
    told = [orjson.dumps(result).decode() for result in results.values()]
    run(conn, "embeddings.add", model=model, texts=[text.hex() for text in results], results=told)
