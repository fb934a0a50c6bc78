"""The SQLSTATE of every error that reaches us from PostgreSQL, its driver or the pool."""

import psycopg
from psycopg_pool import PoolTimeout


class NoConnection(PoolTimeout):
    """The pool has lost all its connections and could not make one in time."""


def sqlstate(error: BaseException | None) -> str:
    """Return the SQLSTATE of an error, also where psycopg has none.

    08006 for a connection that was open and is lost, 08001 for one that could not be made, `pool_timeout` for a pool
    with none to give, XX000 for what has no state.
    """
    if isinstance(error, PoolTimeout):
        return "08001" if isinstance(error, NoConnection) else "pool_timeout"
    if isinstance(error, psycopg.errors.PipelineAborted):
        return "25P02"
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return error.sqlstate
    if isinstance(error, psycopg.OperationalError):
        return (
            "08001"
            if isinstance(error, psycopg.errors.ConnectionTimeout) or "connection failed" in str(error)
            else "08006"
        )
    if isinstance(error, psycopg.InterfaceError):  # "the connection is closed", found on first use
        return "08006"
    return "XX000"
