"""The database as the verbs see it: a pool, a transaction with both time limits, and the retry of a whole verb."""

import contextvars
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity.wait import wait_random_exponential

from runner_core.adapters import adapt
from runner_core.bell import Bell
from runner_core.observer import Journal, ObservedConnection, ObservedCursor
from runner_core.queries import run
from runner_core.settings import Settings
from runner_core.telemetry import DB_WRITE_RETRIES
from runner_core.watchdog import Watchdog

log = logging.getLogger("db")
P = ParamSpec("P")
T = TypeVar("T")

# Worth another try: the connection class, a server that restarts or shuts down, the two ways of losing a race, and a
# transaction that was ended because this process had been stopped in the middle of it.
TRANSIENT = ("57P01", "57P02", "57P03", "40001", "40P01", "25P03")
MAX_ATTEMPTS = 6
MAX_SECONDS = 20
CONNECT_SECONDS = 10
STOP_SECONDS = 1.0  # connections that are being made are not waited for

# A pool asks each second for a server that is away. Its own pauses double: a restart of four seconds would outlast the
# wait for a connection, and after an outage of a minute it would be away for up to another one. (No option of the pool
# says so; its version is exact.)
AttemptWithBackoff.DELAY_BACKOFF = 1.0

_more_tries: contextvars.ContextVar[bool] = contextvars.ContextVar("more_tries", default=False)


@dataclass(frozen=True)
class Session:
    """How a kind of process talks to PostgreSQL, besides the limits that all have.

    `lock_wait_ms` is how long a statement may wait for a row, 0 for as long as it may take. `by_key`: every statement
    finds its rows by key, and is planned once a session.
    """

    lock_wait_ms: int = 0
    by_key: bool = False


# A second request with the id or the key of one that is being accepted is told to come again after two seconds.
SESSIONS = {"api": Session(lock_wait_ms=2000), "publisher": Session(by_key=True), "worker": Session(by_key=True)}


class Database:
    """One process's connections.

    `size` bounds the pool (default: settings.db_pool_max). Nothing connects before `open()`, so that a server may
    fork first.
    """

    def __init__(self, settings: Settings, kind: str, *, size: int | None = None) -> None:
        self.settings = settings
        self.bell = Bell(self)  # rung by the verbs, after their commits
        self._watchdog = Watchdog()
        self._limit_seconds = settings.db_write_timeout_ms / 1000 + 1
        most = size or settings.db_pool_max
        self._pooled = settings.db_pooler == "transaction"
        self._session = SESSIONS.get(kind, Session())
        self.pool: ConnectionPool[ObservedConnection[Any]] = ConnectionPool(
            settings.database_url,
            connection_class=ObservedConnection,
            kwargs={
                "autocommit": True,
                "prepare_threshold": None if self._pooled else 0,
                "cursor_factory": ObservedCursor,
                "application_name": f"beacon-{kind}",
                "connect_timeout": CONNECT_SECONDS,
            },
            min_size=1,
            max_size=most,
            max_idle=settings.db_pool_max_idle_seconds,
            timeout=self._limit_seconds,
            name=kind,
            configure=self._prepare,
            open=False,
        )

    def open(self) -> "Database":
        """Start the pool; returns at once, connections follow."""
        self.pool.open(wait=False)
        return self

    def close(self) -> None:
        """Pass on what was rung, then close every connection."""
        self.bell.stop()
        self.pool.close(timeout=STOP_SECONDS)

    @contextmanager
    def transaction(self, *, pipeline: bool = True, expected: tuple[str, ...] = ()) -> Iterator[Connection[Any]]:
        """One transaction, committed when the block ends, rolled back when it raises.

        In a pipeline its statements share round trips, and an error surfaces at the next fetch or at the end. The
        SQLSTATEs in `expected` are answers, not errors: they are neither counted nor logged. After any error in a
        pipeline the connection is discarded: what is left in a broken one is not worth knowing.
        """
        with (
            self._observed(expected, discard=pipeline) as conn,
            _pipelined(conn) if pipeline else conn.transaction(),
        ):
            if self._pooled:
                self._set(conn, local=True)
            yield conn

    @contextmanager
    def statement(self, *, expected: tuple[str, ...] = ()) -> Iterator[Connection[Any]]:
        """Exactly one statement, a transaction of its own: one round trip where a transaction has three.

        A pooler shares sessions: behind one it is a transaction like any other, which sets its limits.
        """
        if self._pooled:
            with self.transaction(pipeline=False, expected=expected) as conn:
                yield conn
        else:
            with self._observed(expected, discard=False) as conn:
                yield conn

    @contextmanager
    def _observed(self, expected: tuple[str, ...], *, discard: bool) -> Iterator[Connection[Any]]:
        """A connection whose statements are timed, bounded and told of; `discard` it after an error.

        In one piece: a generator for each of its parts would cost as much as a round trip when nothing is warm.
        """
        journal = Journal(self.settings.db_audit)
        try:
            conn = self.pool.getconn()
        except PoolTimeout as error:  # a failure like any other
            journal.failed(sqlstate(error), expected=False, will_retry=False)
            journal.write()
            raise
        conn.journal = journal
        try:
            conn.twin = conn.twin or socket.socket(fileno=os.dup(conn.fileno()))
            self._watchdog.guard(conn.twin, self._limit_seconds)
            yield conn
            journal.settle()
        except BaseException as error:
            self._watchdog.release(conn.twin)  # before its descriptor is closed
            if isinstance(error, psycopg.Error):
                journal.settle()
                state = sqlstate(error)
                error.add_note(f"sqlstate {state}")
                journal.failed(state, expected=state in expected, will_retry=_more_tries.get() and is_transient(error))
            if discard or conn.broken:
                conn.close()
            raise
        finally:
            self._watchdog.release(conn.twin)
            conn.journal = None
            self.pool.putconn(conn)
            journal.write()

    def _prepare(self, conn: Connection[Any]) -> None:
        """Called by the pool for each new connection."""
        adapt(conn)
        if not self._pooled:
            self._set(conn, local=False)

    def _set(self, conn: Connection[Any], *, local: bool) -> None:
        """Set the limits and the manner of planning, of the session or (`local`) of this transaction alone."""
        run(
            conn,
            "db.settings",
            local=local,
            statement_timeout=str(self.settings.db_write_timeout_ms),
            lock_timeout=str(self._session.lock_wait_ms),
            idle_timeout=str(int(self._limit_seconds * 1000)),
            seqscan="off" if self._session.by_key else "on",
            plan_mode="force_generic_plan" if self._session.by_key else "auto",
        )

    def retry(self, verb: Callable[[], T]) -> T:
        """Call `verb` again while it fails for a passing reason: 6 times in all, for 20 s, with full jitter.

        The whole verb is repeated, never one statement: after a lost connection nobody knows whether COMMIT happened,
        so every verb is repeatable. Raises its last error.
        """
        began = time.monotonic()
        try:
            return self._try(verb, more=True)
        except Exception as error:
            if not is_transient(error):
                raise
            failed = error
        # Only now, and beginning with what has failed: setting this up costs as much as sending a statement.
        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(MAX_ATTEMPTS) | stop_after_delay(MAX_SECONDS - time.monotonic() + began),
            wait=wait_random_exponential(multiplier=0.05, max=2),
            before_sleep=self._before_retry,
            reraise=True,
        )
        for attempt in retrying:
            with attempt:
                number = attempt.retry_state.attempt_number
                if number == 1:
                    raise failed
                return self._try(verb, more=number < MAX_ATTEMPTS)
        raise AssertionError("unreachable: the loop returns or raises")

    @staticmethod
    def _try(verb: Callable[[], T], *, more: bool) -> T:
        before = _more_tries.set(more)
        try:
            return verb()
        finally:
            _more_tries.reset(before)

    def _before_retry(self, state: RetryCallState) -> None:
        DB_WRITE_RETRIES.inc()
        error = state.outcome.exception() if state.outcome else None
        log.warning("trying again after sqlstate=%s (try %d)", sqlstate(error), state.attempt_number)
        if error is not None and is_lost(error):
            # What befell one connection has probably befallen those that lie in the pool: a restart kills them all.
            # Not checked, because a check through a black hole would wait for ever.
            self.pool.drain()


@contextmanager
def _pipelined(conn: Connection[Any]) -> Iterator[None]:
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


def retried(verb: Callable[Concatenate[Database, P], T]) -> Callable[Concatenate[Database, P], T]:
    """Mark a verb whose whole transaction is repeated after a passing failure."""

    @wraps(verb)
    def whole(db: Database, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return db.retry(lambda: verb(db, *args, **kwargs))

    return whole


def sqlstate(error: BaseException | None) -> str:
    """The SQLSTATE of an error, also where psycopg has none.

    08006 for a connection that was open and is lost, 08001 for one that could not be made, `pool_timeout` for a pool
    with none to give, XX000 for what has no state.
    """
    if isinstance(error, PoolTimeout):
        return "pool_timeout"
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


def is_lost(error: BaseException) -> bool:
    """Whether it was the connection that failed: lost, refused, or ended by the server."""
    return sqlstate(error)[:2] in ("08", "57")


def is_transient(error: BaseException) -> bool:
    """Whether the same verb may succeed a moment later."""
    state = sqlstate(error)
    return state in TRANSIENT or state.startswith("08")
