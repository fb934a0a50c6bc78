"""Calls the statements of answers.sql. A batch is passed as one array per column, so that one plan fits every size."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection, Cursor

from runner_core.queries import Row, run
from runner_core.store.columns import columns

CallKey = tuple[str, str, str, str, int]  # job, region, model, question, run


class Started(NamedTuple):
    """The row of a call that is about to be made."""

    job_id: str
    region: str
    model_id: str
    question_id: str
    run_no: int
    provider_id: str
    token: str


class Finished(NamedTuple):
    """The row of an ended call. `output`, `error_detail`, `earlier`, `served` and `sent` are JSON text.

    `served`: who answered, as the provider says; `sent`: the parameters as sent. `waited_ms` and `answered_ms` are null
    for a call without a successful try. `paid` is `no`, `maybe` or `yes`.
    """

    job_id: str
    region: str
    model_id: str
    question_id: str
    run_no: int
    token: str
    attempt: int
    status: str
    provider_id: str | None
    calls: int
    completed_at: datetime
    duration_ms: int
    output: str | None
    error_detail: str | None
    earlier: str
    served: str | None = None
    sent: str | None = None
    waited_ms: int | None = None
    answered_ms: int | None = None
    paid: str | None = None


def start(conn: Connection[Any], started: Sequence[Started]) -> Cursor[Row]:
    """Write each call with its first try, before its request. Only the calls that the statement returns may be sent."""
    return run(conn, "answers.start", **columns(Started, started))


def begun(cursor: Cursor[Row]) -> set[CallKey]:
    """Return the keys of the calls that `start` wrote."""
    return {(r["job_id"], r["region"], r["model_id"], r["question_id"], r["run_no"]) for r in cursor.fetchall()}


def finish(conn: Connection[Any], finished: Sequence[Finished]) -> None:
    """Store each answer while its region is open; store a failure only while its token has the lease."""
    run(conn, "answers.finish", **columns(Finished, finished))
