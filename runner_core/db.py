"""The database as the verbs see it: a pool, a transaction with both time limits, and the retry of a whole verb."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from runner_core.adapters import adapt
from runner_core.bell import Bell
from runner_core.failures import Failure, NoConnection, failure_of, sqlstate
from runner_core.observer import Journal, ObservedConnection, ObservedCursor
from runner_core.pipeline import pipelined
from runner_core.repeat import repeat, try_number
from runner_core.session import apply, parameters
from runner_core.session_kinds import SESSIONS, Session
from runner_core.settings import Settings
from runner_core.watchdog import Watchdog

P = ParamSpec("P")
T = TypeVar("T")

STOP_SECONDS = 1.0  # connections that are being made are not waited for
FRESH_SECONDS = 1.0  # how long a request waits for a connection when all are lost
DRAIN_PAUSE_SECONDS = 1.0

# A pool asks each second for a server that is away. Its own pauses double: after an outage of a minute it would be away
# for up to another one. (No option of the pool says so; its version is exact.)
AttemptWithBackoff.DELAY_BACKOFF = 1.0


class Database:
    """One process's connections, `size` at most. None is made before `open`, so that a server may fork first."""

    def __init__(self, settings: Settings, kind: str, *, size: int | None = None) -> None:
        self.settings = settings
        self.kind = kind
        self.bell = Bell(self)  # rung by the verbs, after their commits
        self._watchdog = Watchdog()
        self._limit_seconds = settings.database.write_timeout_ms / 1000 + 1
        most = size or settings.database.pool_max
        self._pooled = settings.database.pooler == "transaction"
        self._session = SESSIONS.get(kind, Session())
        # time.monotonic() of the youngest connection, and of the last time that all were given up. Whoever holds one of
        # his own, to listen, gives it up as well then.
        self._made_at = self.drained_at = 0.0
        self._is_drain_due = False
        self.pool: ConnectionPool[ObservedConnection[Any]] = ConnectionPool(
            settings.database.url,
            connection_class=ObservedConnection,
            kwargs={
                "autocommit": True,
                "prepare_threshold": None if self._pooled else 0,
                "cursor_factory": ObservedCursor,
                **parameters(settings.database.url, kind, self._limit_seconds),
            },
            min_size=1,
            max_size=most,
            max_idle=settings.database.pool_max_idle_seconds,
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
        SQLSTATEs in `expected` are answers, not errors: they are neither counted nor logged. An error of psycopg's in a
        pipeline closes the connection, because the state of a failed pipeline is unknown; any other exception leaves
        the connection usable.
        """
        with (
            self._observed(expected, discard=pipeline) as conn,
            pipelined(conn) if pipeline else conn.transaction(),
        ):
            if self._pooled:
                self._set(conn, local=True)
            yield conn

    @contextmanager
    def statement(self, *, expected: tuple[str, ...] = (), optional: bool = False) -> Iterator[Connection[Any]]:
        """Exactly one statement, a transaction of its own: one round trip where a transaction has three.

        A pooler shares sessions: behind one it is a transaction like any other, which sets its limits. `optional`:
        nothing is lost when it fails, and its failure is logged as a warning.
        """
        if self._pooled:
            with self._observed(expected, discard=False, optional=optional) as conn, conn.transaction():
                self._set(conn, local=True)
                yield conn
        else:
            with self._observed(expected, discard=False, optional=optional) as conn:
                yield conn

    @contextmanager
    def _observed(
        self, expected: tuple[str, ...], *, discard: bool, optional: bool = False
    ) -> Iterator[Connection[Any]]:
        """Yield a pooled connection with timing, a client-side deadline and audit.

        With `discard` the connection is closed after an error of psycopg's. One generator, because several nested ones
        cost as much as a round trip in a cold process.
        """
        journal = Journal(self.settings.database.audit)
        try:
            conn = self._connection()
        except PoolTimeout as error:  # a failure like any other
            journal.failed(sqlstate(error), expected=False, level=self._level(failure_of(error), optional))
            journal.write()
            raise
        conn.journal = journal
        try:
            self._guard(conn)
            yield conn
            journal.settle()
        except BaseException as error:
            self._watchdog.release(conn.twin)  # before its descriptor is closed
            if isinstance(error, psycopg.Error):
                journal.settle()
                state, failure = sqlstate(error), failure_of(error)
                error.add_note(f"sqlstate {state}")
                journal.failed(state, expected=state in expected, level=self._level(failure, optional))
                if failure.drains_pool:
                    self._drain(conn)
                discard = discard or failure.ends_connection
            else:
                discard = False
            if discard or conn.is_in_use():
                conn.close()
            raise
        finally:
            self._watchdog.release(conn.twin)
            conn.journal = None
            self.pool.putconn(conn)
            journal.write()

    def _guard(self, conn: ObservedConnection[Any]) -> None:
        """Have the watchdog bound the transaction. Without a descriptor or a thread for it there is no connection."""
        try:
            conn.twin = conn.twin or socket.socket(fileno=os.dup(conn.fileno()))
            self._watchdog.guard(conn.twin, self._limit_seconds)
        except (OSError, RuntimeError) as error:
            raise psycopg.OperationalError(f"connection failed: this process has no room for it: {error}") from error

    def _connection(self) -> ObservedConnection[Any]:
        """A connection that the server has not ended while it lay in the pool.

        Raises PoolTimeout when all are in use for as long as a transaction may take, NoConnection when there is none.
        """
        until = time.monotonic() + self._limit_seconds
        if self._is_drain_due and time.monotonic() - self.drained_at > DRAIN_PAUSE_SECONDS:
            self._give_up_all()
        while True:
            seconds = until - time.monotonic()
            if self._made_at and self._is_away() and not self._session.patient:
                seconds = min(seconds, FRESH_SECONDS)
            try:
                conn = self.pool.getconn(seconds)
            except PoolTimeout as error:
                if self._is_away():
                    raise NoConnection(str(error)) from None
                raise
            if not conn.is_ended():
                return conn
            self._drain(conn)
            conn.close()
            self.pool.putconn(conn)

    def _is_away(self) -> bool:
        """Whether no connection could be made since all were given up."""
        return self._made_at <= self.drained_at

    def _drain(self, conn: ObservedConnection[Any]) -> None:
        """Give up the connections that were made before `conn` failed: what befell it has befallen them too.

        They are not checked, because a check through a black hole would wait for ever. A server that answers and can't
        serve is not called anew with every request: then those that are made after the last time go later."""
        if conn.made_at <= self.drained_at:
            return
        if conn.is_ended() or time.monotonic() - self.drained_at > DRAIN_PAUSE_SECONDS:
            self._give_up_all()
        else:
            self._is_drain_due = True

    def _give_up_all(self) -> None:
        """Close what lies in the pool now, and what is in use when it comes back."""
        self.drained_at, self._is_drain_due = time.monotonic(), False
        self.pool.drain()

    def _level(self, failure: Failure, optional: bool) -> int:
        """How loud a failure is: a warning where it is tried again, or where nothing is lost."""
        again = 0 < try_number() < self._tries(failure)
        patient = self._session.patient and failure.concerns == "server"
        return logging.WARNING if again or patient or optional else logging.ERROR

    def _tries(self, failure: Failure) -> int:
        return failure.tries if self._session.patient else failure.api_tries

    def _prepare(self, conn: ObservedConnection[Any]) -> None:
        """Called by the pool for each new connection."""
        adapt(conn)
        if not self._pooled:
            self._set(conn, local=False)
        self._made_at = conn.made_at = time.monotonic()

    def _set(self, conn: Connection[Any], *, local: bool) -> None:
        """Set what is relied on, the limits and the manner of planning: the session's, or (`local`) a transaction's."""
        apply(
            conn,
            local=local,
            statement_timeout=str(self.settings.database.write_timeout_ms),
            lock_timeout=str(self._session.lock_wait_ms),
            idle_in_transaction_session_timeout=str(int(self._limit_seconds * 1000)),
            enable_seqscan="off" if self._session.by_key else "on",
            plan_cache_mode="force_generic_plan" if self._session.by_key else "auto",
            jit="off",
            max_parallel_workers_per_gather="0",
        )

    def retry(self, verb: Callable[[], T]) -> T:
        """Call `verb` again while it fails for a passing reason: never one statement, because nobody knows after a lost
        connection whether COMMIT happened, so that every verb is repeatable. Raises its last error."""
        return repeat(verb, self._tries)


def retried(verb: Callable[Concatenate[Database, P], T]) -> Callable[Concatenate[Database, P], T]:
    """Mark a verb whose whole transaction is repeated after a passing failure."""

    @wraps(verb)
    def whole(db: Database, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return db.retry(lambda: verb(db, *args, **kwargs))

    return whole
