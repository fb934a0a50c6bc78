"""The one table of PostgreSQL's errors: what each class of errors concerns, and how the program reacts.

All code that reacts to an error uses this table: the retry, the pool, the API's answers, the worker and the publisher
when they decide whether a row is at fault. docs/errors.md shows the table. One test compares the two; another causes
each row on a real server.
"""

from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.sqlstate import sqlstate

# What an error concerns. `row`: the written data, which fails at every try. `statement`: this statement at this moment,
# because of a lock or a limit; other statements may work. `server`: all statements at this moment.
Concern = Literal["row", "statement", "server"]
MAX_TRIES = 6


@dataclass(frozen=True)
class Failure:
    """One row of the table: errors that are treated in the same way.

    `states`: the SQLSTATEs, each a label value of `db_write_errors_total`. `prefix`: matches the rest of their class.
    `tries`: how often a transaction is tried in total, within 20 s, in a publisher or worker (their loops try again
    later). `api_tries`: the same in the API. `ends_connection`: the connection is closed. `drains_pool`: so are the
    idle ones in the pool. `status`: the HTTP status of the API's answer; a 503 has a Retry-After.
    """

    name: str
    states: tuple[str, ...]
    concerns: Concern
    prefix: tuple[str, ...] = ()
    tries: int = 1
    api_tries: int = 1
    ends_connection: bool = False
    drains_pool: bool = False
    status: int = 503
    code: str = "database_unavailable"

    @property
    def leads_elsewhere(self) -> bool:
        """Return whether a new connection may reach a server that works. The error says nothing about the data."""
        return self.ends_connection or bool({"08001", "pool_timeout"}.intersection(self.states))


# Two rows for which the start of a process has its own messages.
NO_ROOM = Failure(
    "the server is out of disk, memory or connections",
    ("53000", "53100", "53200", "53300", "53400"),
    "server",
    prefix=("53",),
    tries=MAX_TRIES,
)
UNPREPARED = Failure("a table or a right is missing", ("42P01", "42501", "3F000"), "statement")
TABLE = (
    Failure(
        "the connection is lost",
        ("08000", "08003", "08006", "08P01"),
        "server",
        prefix=("08",),
        tries=MAX_TRIES,
        api_tries=2,
        ends_connection=True,
        drains_pool=True,
    ),
    Failure("no connection can be made", ("08001", "08004"), "server"),
    Failure("every connection of the pool is in use", ("pool_timeout",), "server", code="pool_timeout"),
    Failure(
        "the server ends the connection",
        ("57P01", "57P02", "57P05"),
        "server",
        prefix=("57P",),
        tries=MAX_TRIES,
        api_tries=2,
        ends_connection=True,
        drains_pool=True,
    ),
    Failure(
        "the server starts or stops",
        ("57P03",),
        "server",
        tries=MAX_TRIES,
        ends_connection=True,
        drains_pool=True,
    ),
    Failure(
        "the database was dropped",
        ("57P04",),
        "server",
        tries=MAX_TRIES,
        ends_connection=True,
        drains_pool=True,
    ),
    Failure(
        "the server is read-only",
        ("25006",),
        "server",
        tries=MAX_TRIES,
        ends_connection=True,
        drains_pool=True,
    ),
    Failure(
        "the transaction was idle or open for too long",
        ("25P03", "25P04"),
        "server",
        tries=MAX_TRIES,
        api_tries=2,
        ends_connection=True,
    ),
    NO_ROOM,
    Failure("the server's disk fails", ("58000", "58030"), "server", prefix=("58",), tries=MAX_TRIES),
    Failure(
        "a race with another transaction is lost",
        ("40001", "40003", "40P01"),
        "server",
        prefix=("40",),
        tries=MAX_TRIES,
        api_tries=MAX_TRIES,
    ),
    Failure(
        "a prepared statement's result has another type now",
        ("0A000",),
        "server",
        tries=MAX_TRIES,
        api_tries=2,
        ends_connection=True,
        drains_pool=True,
    ),
    Failure("a lock is not granted in time", ("55P03",), "statement"),
    Failure("the statement takes too long", ("57014",), "statement"),
    Failure("a limit of the server is reached", ("54000", "54001", "54011", "54023"), "statement", prefix=("54",)),
    UNPREPARED,
    Failure(
        "the value is refused",
        ("22001", "22003", "22021", "22P02", "22P05", "23502", "23503", "23505", "23514"),
        "row",
        prefix=("22", "23"),
        status=500,
        code="internal_error",
    ),
    Failure(
        "the statement is wrong",
        ("42601", "42703", "42804", "42883"),
        "row",
        prefix=("42",),
        status=500,
        code="internal_error",
    ),
)
OTHER = Failure("anything else", ("XX000",), "statement", status=500, code="internal_error")
LACKING = Failure("this process has no descriptor, memory or thread left", (), "server")
OURS = Failure("an error in the program itself", (), "row", status=500, code="internal_error")
OTHER_STATE = "other"  # the label of all SQLSTATEs that the table does not name

_BY_STATE = {state: failure for failure in (*TABLE, OTHER) for state in failure.states}
_BY_PREFIX = {prefix: failure for failure in TABLE for prefix in failure.prefix}
STATES = (*_BY_STATE, OTHER_STATE)


def failure_of(error: BaseException) -> Failure:
    """Return the table's row for an error."""
    if isinstance(error, OSError | MemoryError):
        return LACKING
    if not isinstance(error, psycopg.Error | PoolTimeout):
        return OURS
    state = sqlstate(error)
    if state == "0A000" and not _is_stale_plan(error):
        return OTHER
    return _BY_STATE.get(state) or _BY_PREFIX.get(state[:3]) or _BY_PREFIX.get(state[:2]) or OTHER


def label_of(state: str) -> str:
    """Return the metric's label for an SQLSTATE; `other` if the table does not name it."""
    return state if state in _BY_STATE else OTHER_STATE


def _is_stale_plan(error: BaseException) -> bool:
    """Return whether a migration has changed the result columns of a prepared statement. The SQLSTATE 0A000 has many
    causes and its text is translated, but the C function that raises this one has a fixed name (plancache.c)."""
    return isinstance(error, psycopg.Error) and error.diag.source_function == "RevalidateCachedQuery"
