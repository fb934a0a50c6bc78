"""A transaction whose BEGIN and COMMIT travel with its statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from psycopg import Connection


@contextmanager
def pipelined(conn: Connection[Any]) -> Iterator[None]:
    """A transaction whose BEGIN and COMMIT travel with its statements.

    psycopg's own synchronises around both: in a pipeline it has more round trips than without one. After an error the
    server skips what follows, COMMIT too, and the connection must be closed. Nothing in the block may synchronise.
    """
    with conn.pipeline() as pipeline:
        # It lies in the queue until the first statement comes; `execute` would send it, at the price of a statement.
        pipeline.command_queue.append(partial(conn.pgconn.send_query_params, b"BEGIN", None))
        pipeline.result_queue.append(None)
        yield
        commit = conn.execute("COMMIT", prepare=False)
    if commit.statusmessage != "COMMIT":
        raise psycopg.errors.InFailedSqlTransaction("an error in the transaction was not noticed; it was rolled back")
