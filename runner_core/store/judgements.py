"""Calls the statements of judgements.sql: the calls to a judge, and the labels that come of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from runner_core.queries import Row, row, rows, run, single
from runner_core.refusals import FILTERS
from runner_core.store.analyses import Place

MOST_TRIES = 3  # of one answer, which the judge may fail on
PAGE = 100  # jobs of one look


@dataclass(frozen=True)
class Held:
    """An answer that this process may ask the judge about. `asked_at` names the request, `requests` counts it too."""

    answer_id: int
    requests: int
    asked_at: datetime
    question: str
    answer: str


@dataclass(frozen=True)
class Told:
    """What ends a judgement: the raw reply with its category, if it is one; or the code of an error."""

    reply: str | None
    category: str | None
    error: str | None
    sent: dict[str, Any]


@dataclass(frozen=True)
class Taken:
    """`held`: an answer to ask about, None if there is none; `spent`: whether no request of the day is left."""

    held: Held | None
    spent: bool
    now: datetime


def take(conn: Connection[Any], judge: str, calls_per_day: int, seconds: float, characters: int) -> Taken:
    """Take one open answer for so many seconds, and count its request, unless the judge had all of the day's.

    Workers take one after the other, by a lock that ends with the transaction: together they never pass the bound.
    """
    run(conn, "judgements.lock")
    asked = single(conn, "judgements.asked", judge=judge)
    run(conn, "judgements.give_up", judge=judge, most=MOST_TRIES)
    if asked["requests"] >= calls_per_day:
        return Taken(None, spent=True, now=asked["now"])
    taken = row(conn, "judgements.take", judge=judge, seconds=seconds, most=MOST_TRIES)
    if taken is None:
        return Taken(None, spent=False, now=asked["now"])
    answer_id = taken["answer_id"]
    text = row(conn, "judgements.text", answer_id=answer_id, characters=characters)
    if text is None:  # the answer was removed since
        end(conn, judge, answer_id, Told(None, None, "no_answer", {}))
        return Taken(None, spent=False, now=asked["now"])
    held = Held(answer_id, taken["requests"], taken["asked_at"], text["question"], text["answer"])
    return Taken(held, spent=False, now=asked["now"])


def jobs(conn: Connection[Any], judge: str, behind: Place) -> list[tuple[Place, bool]]:
    """Return a page of the jobs that ended behind a place, each with whether the judge may be asked about it."""
    found = rows(conn, "judgements.jobs", judge=judge, since=behind.at, after=behind.job_id, page=PAGE)
    return [(Place(r["completed_at"], r["job_id"]), r["open"]) for r in found]


def begin(conn: Connection[Any], judge: str, job_id: str) -> int:
    """Add open rows for the answers of a job that the judge is to be asked about; return their number."""
    return len(rows(conn, "judgements.begin", judge=judge, job_id=job_id, filtered=sorted(FILTERS.reasons)))


def end(conn: Connection[Any], judge: str, answer_id: int, told: Told) -> bool:
    """Keep what came of a call. Return False if another worker was first, or the job is gone."""
    found = row(
        conn,
        "judgements.end",
        judge=judge,
        answer_id=answer_id,
        reply=told.reply,
        category=told.category,
        error=told.error,
        sent=orjson.dumps(told.sent).decode(),
    )
    return found is not None


def failed(
    conn: Connection[Any], judge: str, held: Held, code: str, *, sent: bool, counts: bool, seconds: float
) -> None:
    """Let an answer be asked about again so many seconds after a failed call; the last try that counts ends it.

    `sent`: whether the request may have reached the provider. `counts`: whether the answer may be the reason.
    """
    names = {"answer_id": held.answer_id, "asked_at": held.asked_at, "error": code, "most": MOST_TRIES}
    run(conn, "judgements.failed", judge=judge, sent=sent, counts=counts, seconds=seconds, **names)


def unlabelled(conn: Connection[Any], judge: str) -> list[str]:
    """Return the jobs with categories of the judge that are no labels yet, and without an open answer."""
    return [r["job_id"] for r in rows(conn, "judgements.unlabelled", judge=judge)]


def label(conn: Connection[Any], judge: str, job_id: str, actor: str) -> int:
    """Make labels of the judge's categories of a job; return their number."""
    return int(single(conn, "judgements.label", judge=judge, job_id=job_id, actor=actor)["labels"])


def beside_people(conn: Connection[Any], judge: str) -> list[Row]:
    """Return how many answers people and the judge labelled alike and otherwise: `by_person`, `by_judge`, `answers`.

    `by_judge` is None for the answers for which the judge ended without a category.
    """
    return rows(conn, "judgements.beside_people", judge=judge)
