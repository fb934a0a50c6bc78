"""The executions' statements."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection, Cursor

from runner_core.queries import Row, row, rows, run
from runner_core.store.columns import columns


class Ended(NamedTuple):
    """The result of one unit. The last four are JSON text or None; durations are milliseconds."""

    job_id: str
    region: str
    model_id: str
    token: str
    status: str
    provider_id: str | None
    started_at: datetime
    completed_at: datetime
    duration: int
    failed_answers: int
    retry_count: int
    error_detail: str | None
    output: str | None
    parameter: str | None
    receipt: str | None


def record(conn: Connection[Any], ended: Sequence[Ended]) -> Cursor[Row]:
    """Insert each once, where its lease token still holds; what exists already is an idempotent success.

    The caller holds the locks of the jobs and of the runs.
    """
    return run(conn, "executions.record", **columns(Ended, ended))


def kept(conn: Connection[Any], ended: Sequence[Ended]) -> set[str]:
    """The tokens of those that an earlier try of the same transaction has stored."""
    every = columns(Ended, ended)
    names = ("job_ids", "regions", "model_ids", "tokens", "completed_ats")
    return {found["token"] for found in rows(conn, "executions.kept", **{name: every[name] for name in names})}


def find(conn: Connection[Any], result_id: int) -> Row | None:
    """Return the execution, or the call still running, that an id of executions or answers names."""
    return row(conn, "reads.execution", result_id=result_id) or row(conn, "reads.answer", result_id=result_id)


def answers(conn: Connection[Any], execution: Row) -> list[Row]:
    """Return every call of the execution's unit."""
    unit = {name: execution[name] for name in ("job_id", "region", "model_id")}
    return rows(conn, "reads.answers", **unit)
