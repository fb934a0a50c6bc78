"""Calls the statements of executions.sql."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection, Cursor

from runner_core.queries import Row, row, rows, run
from runner_core.store.columns import columns


class Ended(NamedTuple):
    """The row of one unit's execution. `error_detail` and the fields after it are JSON text or None, but for
    `answered_ms`.

    `served`: the different providers' models that answered; `answered_ms`: the mean of the answers' times.
    """

    job_id: str
    region: str
    model_id: str
    token: str
    status: str
    provider_id: str | None
    started_at: datetime
    completed_at: datetime
    duration_ms: int
    failed_answers: int
    retry_count: int
    error_detail: str | None
    output: str | None
    parameters: str | None
    receipt: str | None
    served: str | None = None
    answered_ms: int | None = None


def record(conn: Connection[Any], ended: Sequence[Ended]) -> Cursor[Row]:
    """Insert the executions whose tokens still have the lease. An execution that exists already is left as it is.

    The caller holds the locks of the jobs and of the runs.
    """
    return run(conn, "executions.record", **columns(Ended, ended))


def kept(conn: Connection[Any], ended: Sequence[Ended]) -> set[str]:
    """Return the tokens whose executions an earlier try of the same transaction has stored."""
    every = columns(Ended, ended)
    names = ("job_id", "region", "model_id", "token", "completed_at")
    return {found["token"] for found in rows(conn, "executions.kept", **{name: every[name] for name in names})}


def find(conn: Connection[Any], result_id: int) -> Row | None:
    """Return the execution with this id. For the id of an answer return its execution, or the running call."""
    return row(conn, "reads.execution", result_id=result_id) or row(conn, "reads.answer", result_id=result_id)


def answers(conn: Connection[Any], execution: Row) -> list[Row]:
    """Return every call of the execution's unit."""
    unit = {name: execution[name] for name in ("job_id", "region", "model_id")}
    return rows(conn, "reads.answers", **unit)
