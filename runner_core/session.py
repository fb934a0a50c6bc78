"""Makes connections to PostgreSQL, and sets the settings that their sessions rely on.

A database or a role may have its own settings (ALTER DATABASE ... SET, ALTER ROLE ... SET) that change the meaning of
a statement or the format of values. Our sessions set those that they rely on, search_path among them: the connection's
address names the schema. They do not set default_transaction_read_only, because operators use it to stop writes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection, ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from runner_core.adapters import adapt_times
from runner_core.cells import cell_of, cell_of_connection, refuse_another_cell
from runner_core.queries import run

CONNECT_SECONDS = 10
LEAST_SECONDS = 2  # libpq treats a shorter connect_timeout as 2

# The settings that `apply` may set besides the fixed ones. None leaves a setting as it is.
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
    """Return psycopg's parameters, beside `url`, for a connection with the application name beacon-`name`.

    With several hosts in the URL the connection goes to the one that accepts writes, unless the URL says otherwise.
    The caller waits at most `wait_seconds`; each host gets a share of them, so that a dead host leaves time for the
    next one.
    """
    found: dict[str, Any] = {"application_name": f"beacon-{name}", "client_encoding": "UTF8"}
    try:
        where = conninfo_to_dict(url)
    except ProgrammingError:  # connecting will report the mistake
        where = {}
    hosts = str(where.get("hostaddr") or where.get("host") or "").count(",") + 1
    if "connect_timeout" not in where:
        found["connect_timeout"] = max(LEAST_SECONDS, int(wait_seconds / hosts))
    if hosts > 1 and "target_session_attrs" not in where:
        found["target_session_attrs"] = "read-write"
    return found


def connect(url: str, name: str, wait_seconds: float = CONNECT_SECONDS, **options: str) -> Connection[Any]:
    """Open a connection in autocommit, outside the pool. It may go through a pooler: use `transaction` for its work.

    `options` are libpq's; they replace those of `url`. Raises AnotherCell if something else than `url` names the cell.
    """
    chosen = parameters(url, name, wait_seconds) | options
    conn = psycopg.connect(url, autocommit=True, prepare_threshold=None, **chosen)
    refuse_another_cell(conn, cell_of(url))
    adapt_times(conn)
    return conn


@contextmanager
def transaction(conn: Connection[Any], **limits: str) -> Iterator[Connection[Any]]:
    """Open a transaction with the settings that statements rely on, and these LIMITS; both end with the transaction."""
    with conn.transaction():
        apply(conn, local=True, **limits)
        yield conn


def listen(
    url: str,
    name: str,
    statement: str,
    wait_seconds: float = CONNECT_SECONDS,
    admit: Callable[[Connection[Any]], object] = lambda _: None,
) -> Connection[Any]:
    """Open a connection that executes LISTEN. It has no idle_session_timeout, because it is mostly idle.

    `admit` may refuse the connection by an error of psycopg.
    """
    conn = connect(url, f"{name}-listen", wait_seconds)
    try:
        apply(conn, local=False, idle_session_timeout="0")
        admit(conn)
        run(conn, statement)
    except psycopg.Error:
        conn.close()
        raise
    return conn


def apply(conn: Connection[Any], *, local: bool, **limits: str) -> None:
    """Set the settings that statements rely on, and these LIMITS, in one statement.

    They apply to the session; with `local` to the transaction only, because a pooler shares sessions.
    """
    path = cell_of_connection(conn).search_path
    run(conn, "db.settings", local=local, search_path=path, **LIMITS | limits)
