"""Calls the statements of outbox.sql."""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from runner_core.queries import Row, rows, run


def mark(conn: Connection[Any], dispatched: Sequence[tuple[int, str]]) -> None:
    """Mark rows as published; `dispatched` has (row id, dispatch id) pairs."""
    run(conn, "outbox.mark", ids=[d[0] for d in dispatched], dispatch_ids=[d[1] for d in dispatched])


def fail(
    conn: Connection[Any], failures: Sequence[tuple[int, str]], *, max_attempts: int, dead_after_seconds: int
) -> list[Row]:
    """Postpone the rows of (row id, reason) pairs; a row that has used up its attempts and is old enough is dead."""
    return rows(
        conn,
        "outbox.fail",
        ids=[f[0] for f in failures],
        errors=[f[1] for f in failures],
        max_attempts=max_attempts,
        dead_after_seconds=dead_after_seconds,
    )


def stage(conn: Connection[Any], staged: Sequence[tuple[str, str, str]]) -> None:
    """Insert an outbox row and an event for each (job, region, reason). The caller holds the jobs' row locks."""
    ordered = sorted(staged)
    run(
        conn,
        "outbox.stage",
        job_ids=[s[0] for s in ordered],
        regions=[s[1] for s in ordered],
        reasons=[s[2] for s in ordered],
    )
