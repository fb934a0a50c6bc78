"""Gives every error of PostgreSQL, psycopg or the pool an SQLSTATE."""

import psycopg
from psycopg_pool import PoolTimeout


class NoConnection(PoolTimeout):
    """The pool has lost all its connections and could not make one in time."""


def sqlstate(error: BaseException | None) -> str:
    """Return the SQLSTATE of an error, also if psycopg has none.

    08006: an open connection was lost. 08001: no connection could be made. `pool_timeout`: all connections of the pool
    are in use. XX000: any other error without a state.
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
    if isinstance(error, psycopg.InterfaceError):  # "the connection is closed", raised at its next use
        return "08006"
    return "XX000"
