"""The database of a process: a pool, transactions with a time limit at server and client, and their repetition."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout

from runner_core.connections import Connections
from runner_core.failures import Failure, failure_of
from runner_core.notifier import Notification, Notifier
from runner_core.observer import Journal, ObservedConnection
from runner_core.pipeline import pipelined
from runner_core.queries import run
from runner_core.retry import retry, try_number
from runner_core.settings import Settings
from runner_core.sqlstate import sqlstate
from runner_core.timeline import Fence
from runner_core.watchdog import Watchdog

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Gives one process at most `size` connections. None is made before `open`, so that a server may fork."""

    def __init__(self, settings: Settings, kind: str, *, size: int | None = None) -> None:
        self.settings = settings
        self.kind = kind
        self.notifier = Notifier(self._notify)  # called after commits
        self.watchdog = Watchdog()
        self._connections = Connections(settings.database, kind, size or settings.database.pool_max)

    @property
    def pool(self) -> ConnectionPool[ObservedConnection[Any]]:
        """Return the pool of connections."""
        return self._connections.pool

    @property
    def drained_at(self) -> float:
        """Return the time.monotonic() at which all connections were last given up."""
        return self._connections.drained_at

    @property
    def fence(self) -> Fence:
        """Return the fence that refuses an older primary."""
        return self._connections.fence

    def open(self) -> "Database":
        """Start the pool and return at once. The pool connects in the background."""
        self._connections.open()
        return self

    def close(self) -> None:
        """Send pending notifications, then close every connection."""
        self.notifier.stop()
        self._connections.close()

    @contextmanager
    def transaction(self, *, pipeline: bool = True, expected: tuple[str, ...] = ()) -> Iterator[Connection[Any]]:
        """Open a transaction that is committed when the block ends and rolled back when it raises.

        In a pipeline the statements share round trips, and an error is raised at the next fetch or at the end.
        SQLSTATEs in `expected` are neither counted nor logged as failures. A psycopg error in a pipeline closes the
        connection, because the state of a failed pipeline is unknown. After any other Exception the transaction is
        rolled back and the connection stays usable, if the rollback succeeds.
        """
        with (
            self._observed(expected, discard=pipeline) as conn,
            pipelined(conn) if pipeline else conn.transaction(),
        ):
            if self._connections.is_pooled:
                self._connections.apply_settings(conn, local=True)
            yield conn

    @contextmanager
    def statement(self, *, expected: tuple[str, ...] = (), optional: bool = False) -> Iterator[Connection[Any]]:
        """Run exactly one statement as its own transaction: one round trip, where a transaction has three.

        Behind a pooler it is an ordinary transaction, because each transaction has to set its own limits there.
        `optional`: the failure loses nothing and is logged as a warning.
        """
        if self._connections.is_pooled:
            with self._observed(expected, discard=False, optional=optional) as conn, conn.transaction():
                self._connections.apply_settings(conn, local=True)
                yield conn
        else:
            with self._observed(expected, discard=False, optional=optional) as conn:
                yield conn

    @contextmanager
    def _observed(
        self, expected: tuple[str, ...], *, discard: bool, optional: bool = False
    ) -> Iterator[Connection[Any]]:
        """Yield a pooled connection with timing, a client-side deadline and audit.

        With `discard` the connection is closed after a psycopg error. This is one generator, because nested ones take
        as long as a round trip in a process that has just started.
        """
        journal = Journal(self.settings.database.audit)
        try:
            conn = self._connections.take()
        except PoolTimeout as error:  # counted and logged like the failure of a statement
            journal.failed(sqlstate(error), expected=False, level=self._log_level(failure_of(error), optional))
            journal.write()
            raise
        conn.journal = journal
        try:
            self._guard(conn)
            yield conn
            journal.settle()
        except BaseException as error:
            self.watchdog.release(conn.dup_socket)  # before its descriptor is closed
            if isinstance(error, psycopg.Error):
                journal.settle()
                state, failure = sqlstate(error), failure_of(error)
                error.add_note(f"sqlstate {state}")
                journal.failed(state, expected=state in expected, level=self._log_level(failure, optional))
                if failure.drains_pool:
                    self._connections.drain(conn)
                discard = discard or failure.ends_connection
            else:
                discard = False
            if discard or conn.is_in_use():
                conn.close()
            raise
        finally:
            self.watchdog.release(conn.dup_socket)
            conn.journal = None
            self._connections.give_back(conn)
            journal.write()

    def _guard(self, conn: ObservedConnection[Any]) -> None:
        """Let the watchdog limit the transaction. Raises OperationalError if no descriptor or thread can be made."""
        try:
            conn.dup_socket = conn.dup_socket or socket.socket(fileno=os.dup(conn.fileno()))
            self.watchdog.guard(conn.dup_socket, self._connections.limit_seconds)
        except (OSError, RuntimeError) as error:
            raise psycopg.OperationalError(
                f"connection failed: this process has no descriptor, memory or thread left: {error}"
            ) from error

    def _log_level(self, failure: Failure, optional: bool) -> int:
        """Return the log level of a failure: WARNING if the transaction is repeated or nothing is lost, else ERROR."""
        again = 0 < try_number() < self._max_tries(failure)
        patient = self._connections.session.patient and failure.concerns == "server"
        return logging.WARNING if again or patient or optional else logging.ERROR

    def _max_tries(self, failure: Failure) -> int:
        return failure.tries if self._connections.session.patient else failure.api_tries

    def _notify(self, notifications: list[Notification]) -> None:
        channels, payloads = [n[0] for n in notifications], [n[1] for n in notifications]
        with self.statement(optional=True) as conn:
            run(conn, "bell.ring", channels=channels, payloads=payloads)

    def retry(self, verb: Callable[[], T]) -> T:
        """Call `verb` and repeat it after temporary failures. Raises its last error.

        A verb is a function that carries out a whole transaction. After a lost connection nobody knows whether COMMIT
        happened, so every verb must give the same result when it is repeated.
        """
        return retry(verb, self._max_tries)


def retried(verb: Callable[Concatenate[Database, P], T]) -> Callable[Concatenate[Database, P], T]:
    """Decorate a function whose whole transaction is repeated after a temporary failure."""

    @wraps(verb)
    def repeated(db: Database, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return db.retry(lambda: verb(db, *args, **kwargs))

    return repeated
