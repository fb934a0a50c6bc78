"""Logins of the portal that were ended before their time."""

from typing import Any

from psycopg import Connection

from runner_core.queries import row, run


def ended(conn: Connection[Any], session_id: str) -> bool:
    """Whether this login was ended."""
    return row(conn, "sessions.ended", session_id=session_id) is not None


def end(conn: Connection[Any], session_id: str) -> None:
    """End this login. May be repeated."""
    run(conn, "sessions.end", session_id=session_id)
