"""The executions' statements."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection, Cursor

from runner_core.queries import Row, rows, run
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
    return {row["token"] for row in rows(conn, "executions.kept", **{name: every[name] for name in names})}
