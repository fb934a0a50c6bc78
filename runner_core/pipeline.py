"""A transaction whose BEGIN and COMMIT travel with its statements."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection


@contextmanager
def pipelined(conn: Connection[Any]) -> Iterator[None]:
    """Open a transaction whose BEGIN and COMMIT share round trips with the statements between them.

    psycopg's own transaction synchronises around both: in a pipeline it has more round trips than without one. Nothing
    in the block may synchronise. After an error of psycopg's the server skips everything that follows, COMMIT too, and
    the caller must close the connection. Any other exception rolls the transaction back and leaves the connection idle.
    """
    try:
        with conn.pipeline():
            conn.execute("BEGIN", prepare=False)
            yield
            commit = conn.execute("COMMIT", prepare=False)
    except psycopg.Error:
        raise
    except Exception:
        # Only behind the pipeline: a ROLLBACK inside it makes psycopg forget which statements it has prepared.
        with contextlib.suppress(psycopg.Error):  # the caller sees that the connection is not idle, and closes it
            conn.rollback()
        raise
    if commit.statusmessage != "COMMIT":
        raise psycopg.errors.InFailedSqlTransaction("an error in the transaction was not noticed; it was rolled back")
