"""A transaction in a pipeline, with BEGIN and COMMIT in the same round trips as its statements."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection


@contextmanager
def pipelined(conn: Connection[Any]) -> Iterator[None]:
    """Open a transaction whose BEGIN and COMMIT share round trips with the statements between them.

    psycopg's own transaction block synchronises at BEGIN and COMMIT, and so has more round trips in a pipeline than
    without one. The block must not synchronise. After a psycopg error the server skips all later statements, COMMIT
    too, and the caller must close the connection. Any other exception rolls back and leaves the connection usable.
    """
    try:
        with conn.pipeline():
            conn.execute("BEGIN", prepare=False)
            yield
            commit = conn.execute("COMMIT", prepare=False)
    except psycopg.Error:
        raise
    except Exception:
        # ROLLBACK after the end of the pipeline: inside it psycopg loses track of its prepared statements.
        with contextlib.suppress(psycopg.Error):  # the caller finds the connection not idle, and closes it
            conn.rollback()
        raise
    if commit.statusmessage != "COMMIT":
        raise psycopg.errors.InFailedSqlTransaction("an error in the transaction was not noticed; it was rolled back")
