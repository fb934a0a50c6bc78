"""The connection pool of one process: makes connections, lends them, and closes them when their server fails."""

import logging
import threading
import time
from typing import Any

from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from runner_core.adapters import adapt
from runner_core.cells import refuse_another_cell
from runner_core.observer import ObservedConnection, ObservedCursor
from runner_core.session import apply, parameters
from runner_core.session_kinds import SESSIONS, Session
from runner_core.setting_groups import DatabaseSettings
from runner_core.sqlstate import NoConnection
from runner_core.timeline import Fence, OlderPrimary

log = logging.getLogger("db")
STOP_SECONDS = 1.0  # the longest wait in `close` for connections that are being made
FRESH_SECONDS = 1.0  # the longest wait of a request for a connection when all connections are lost
# A failed connect refuses requests for this time. The pool connects again after 1.1 s at most, but a busy process may
# notice the next failure later.
FAILED_SECONDS = 3.0
DRAIN_PAUSE_SECONDS = 1.0

# The pool tries to connect every second while the server is away. By default the pool doubles its pauses, and after an
# outage of a minute it could wait another minute. (The pool has no option for this; its version is pinned, see
# docs/pinned.md.)
AttemptWithBackoff.DELAY_BACKOFF = 1.0


class Connections:
    """A pool of at most `max_size` connections. No connection is made before `open`, so that a server may fork.

    `limit_seconds` is the time limit of a transaction. `drained_at` is the time.monotonic() at which all connections
    were last given up: the owner of a listening connection compares it, and then reconnects too. `fence` refuses an
    older primary.
    """

    def __init__(self, settings: DatabaseSettings, kind: str, max_size: int) -> None:
        self.limit_seconds = settings.write_timeout_ms / 1000 + 1
        self.session = SESSIONS.get(kind, Session())
        self.is_pooled = settings.pooler == "transaction"
        self._statement_timeout = str(settings.write_timeout_ms)
        self._youngest_made_at = self._failed_at = self.drained_at = 0.0
        self._is_drain_due = False
        self.fence = Fence(self._give_up_all)
        self._url, self._kind, self._cell = settings.url, kind, settings.cell
        self._asking = threading.Lock()
        self._is_asking_due = True  # at the start, after a loss and after a failed connect
        self.pool: ConnectionPool[ObservedConnection[Any]] = ConnectionPool(
            self._newest_first,
            connection_class=ObservedConnection,
            kwargs={
                "autocommit": True,
                "prepare_threshold": None if self.is_pooled else 0,
                "cursor_factory": ObservedCursor,
                **parameters(settings.url, kind, self.limit_seconds),
                "on_failure": self._failed,
            },
            min_size=1,
            max_size=max_size,
            max_idle=settings.pool_max_idle_seconds,
            timeout=self.limit_seconds,
            name=kind,
            configure=self._prepare,
            open=False,
        )

    def open(self) -> None:
        """Start the pool and return at once. The pool connects in the background."""
        self.pool.open(wait=False)

    def close(self) -> None:
        """Close every connection."""
        self.pool.close(timeout=STOP_SECONDS)

    def take(self) -> ObservedConnection[Any]:
        """Take a connection from the pool that the server has not closed.

        Raises PoolTimeout if all connections stay in use for the time limit of a transaction, and NoConnection if no
        connection can be made: in the API after a second, or at once if a connect has just failed on every host.
        """
        until = time.monotonic() + self.limit_seconds
        if self._is_drain_due and time.monotonic() - self.drained_at > DRAIN_PAUSE_SECONDS:
            self._give_up_all()
        while True:
            seconds = until - time.monotonic()
            if self._youngest_made_at and self._is_server_away() and not self.session.patient:
                if self._has_just_failed():
                    raise NoConnection("no host of the database's address has accepted a connection")
                seconds = min(seconds, FRESH_SECONDS)
            try:
                conn = self.pool.getconn(seconds)
            except PoolTimeout as error:
                if self._is_server_away():
                    raise NoConnection(str(error)) from None
                raise
            if not conn.is_ended() and conn.made_at > self.drained_at:
                return conn
            self.drain(conn)
            conn.close()
            self.pool.putconn(conn)

    def give_back(self, conn: ObservedConnection[Any]) -> None:
        """Return a connection to the pool. The pool replaces a closed one."""
        self.pool.putconn(conn)

    def drain(self, failed: ObservedConnection[Any]) -> None:
        """Close all connections of the pool after `failed` has failed, because the others have probably failed too.

        The others are not checked, because a check could wait for ever if the network drops packets. If the server
        still answers, a second drain within DRAIN_PAUSE_SECONDS is postponed: otherwise a server that answers but can't
        work would get new connections with every request.
        """
        if failed.made_at <= self.drained_at:
            return
        if failed.is_ended() or time.monotonic() - self.drained_at > DRAIN_PAUSE_SECONDS:
            self._give_up_all()
        else:
            self._is_drain_due = True

    def apply_settings(self, conn: Connection[Any], *, local: bool) -> None:
        """Set the session settings that statements rely on, the timeouts and the planner settings.

        With `local` they are set for the transaction only, because a pooler gives the session to another client next.
        """
        apply(
            conn,
            local=local,
            statement_timeout=self._statement_timeout,
            lock_timeout=str(self.session.lock_wait_ms),
            idle_in_transaction_session_timeout=str(int(self.limit_seconds * 1000)),
            enable_seqscan="off" if self.session.by_key else "on",
            plan_cache_mode="force_generic_plan" if self.session.by_key else "auto",
            jit="off",
            max_parallel_workers_per_gather="0",
        )

    def _is_server_away(self) -> bool:
        """Return whether no connection was made since all connections were given up."""
        return self._youngest_made_at <= self.drained_at

    def _has_just_failed(self) -> bool:
        """Return whether no host accepted a connection a moment ago, since all connections were given up."""
        return self._failed_at > self.drained_at and time.monotonic() - self._failed_at < FAILED_SECONDS

    def _failed(self) -> None:
        """Note that a connect has failed on every host."""
        self._failed_at, self._is_asking_due = time.monotonic(), True

    def _newest_first(self) -> str:
        """Return the address for the next connection, after asking its hosts if that is due. The pool calls this."""
        with self._asking:
            if self._is_asking_due and not self.is_pooled:  # a pooler holds the question while PostgreSQL is away
                self._is_asking_due = False
                self._url = self.fence.newest_first(self._url, self._kind, self.limit_seconds)
            return self._url

    def _give_up_all(self) -> None:
        """Close the idle connections now, and those in use when they are given back."""
        self.drained_at, self._is_drain_due, self._is_asking_due = time.monotonic(), False, True
        self.pool.drain()

    def _prepare(self, conn: ObservedConnection[Any]) -> None:
        """Prepare a new connection, or raise OlderPrimary or AnotherCell. The pool calls this."""
        refuse_another_cell(conn, self._cell)
        adapt(conn)
        conn.made_at = time.monotonic()  # before the fence: a drain from now on concerns this connection too
        if not self.is_pooled:  # a pooler may wait for a server that is away, and no time limit would end that wait
            self.apply_settings(conn, local=False)
            try:
                self.fence.admit(conn)
            except OlderPrimary:
                self._failed()
                raise
        self._youngest_made_at = time.monotonic()
