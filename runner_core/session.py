"""How every connection of ours is made, and the settings that its session asks for.

A database or a role may have settings of its own (ALTER DATABASE ... SET, ALTER ROLE ... SET) that change what a
statement means or what the driver reads. Our sessions set those that they rely on. They leave
default_transaction_read_only alone: that is the operator's switch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection, ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from runner_core.adapters import adapt_times
from runner_core.queries import run

CONNECT_SECONDS = 10
LEAST_SECONDS = 2  # libpq takes a shorter timeout for this one

# What `apply` may set besides what every session relies on. None leaves a setting as it is.
LIMITS: dict[str, str | None] = {
    "statement_timeout": None,
    "lock_timeout": None,
    "idle_in_transaction_session_timeout": None,
    "idle_session_timeout": None,
    "enable_seqscan": None,
    "plan_cache_mode": None,
    "jit": None,
    "max_parallel_workers_per_gather": None,
}


def parameters(url: str, name: str, wait_seconds: float = CONNECT_SECONDS) -> dict[str, Any]:
    """psycopg's parameters beside `url` for a connection that shows as beacon-`name`.

    A URL with several hosts leads to the one that takes writes, unless it says otherwise. Each host gets its share of
    `wait_seconds`, for which somebody waits for the connection: a dead host leaves time for the next one.
    """
    found: dict[str, Any] = {"application_name": f"beacon-{name}", "client_encoding": "UTF8"}
    try:
        where = conninfo_to_dict(url)
    except ProgrammingError:  # connecting will say what is wrong with it
        where = {}
    hosts = str(where.get("hostaddr") or where.get("host") or "").count(",") + 1
    if "connect_timeout" not in where:
        found["connect_timeout"] = max(LEAST_SECONDS, int(wait_seconds / hosts))
    if hosts > 1 and "target_session_attrs" not in where:
        found["target_session_attrs"] = "read-write"
    return found


def connect(url: str, name: str, wait_seconds: float = CONNECT_SECONDS) -> Connection[Any]:
    """A connection of its own, in autocommit, which may lead through a pooler: its work goes into `transaction`."""
    conn = psycopg.connect(url, autocommit=True, prepare_threshold=None, **parameters(url, name, wait_seconds))
    adapt_times(conn)
    return conn


@contextmanager
def transaction(conn: Connection[Any], **limits: str) -> Iterator[Connection[Any]]:
    """A transaction with the settings that are relied on, and these LIMITS; both end with it."""
    with conn.transaction():
        apply(conn, local=True, **limits)
        yield conn


def listen(url: str, name: str, statement: str, wait_seconds: float = CONNECT_SECONDS) -> Connection[Any]:
    """A connection that listens. It is idle by nature: no limit on idle sessions may end it."""
    conn = connect(url, f"{name}-listen", wait_seconds)
    try:
        apply(conn, local=False, idle_session_timeout="0")
        run(conn, statement)
    except psycopg.Error:
        conn.close()
        raise
    return conn


def apply(conn: Connection[Any], *, local: bool, **limits: str) -> None:
    """Ask for the settings that are relied on, and for these LIMITS, in one statement.

    They are the session's, or with `local` the transaction's: a pooler shares sessions.
    """
    run(conn, "db.settings", local=local, **LIMITS | limits)
