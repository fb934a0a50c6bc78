"""The connections of one process: how they are made, lent out, and given up when their server fails."""

import logging
import time
from typing import Any

from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from runner_core.adapters import adapt
from runner_core.observer import ObservedConnection, ObservedCursor
from runner_core.session import apply, parameters
from runner_core.session_kinds import SESSIONS, Session
from runner_core.setting_groups import DatabaseSettings
from runner_core.sqlstate import NoConnection

log = logging.getLogger("db")
STOP_SECONDS = 1.0  # connections that are being made are not waited for
FRESH_SECONDS = 1.0  # how long a request waits for a connection when all are lost
DRAIN_PAUSE_SECONDS = 1.0

# A pool asks each second for a server that is away. Its own pauses double: after an outage of a minute it would be away
# for up to another one. (No option of the pool says so; its version is exact, docs/pinned.md.)
AttemptWithBackoff.DELAY_BACKOFF = 1.0


class Connections:
    """At most `max_size` connections of a process of one kind. None is made before `open`, so that a server may fork.

    `limit_seconds` bounds a transaction. `drained_at` is the time.monotonic() of the last time that all connections
    were given up; the owner of a listening connection gives that connection up too.
    """

    def __init__(self, settings: DatabaseSettings, kind: str, max_size: int) -> None:
        self.limit_seconds = settings.write_timeout_ms / 1000 + 1
        self.session = SESSIONS.get(kind, Session())
        self.is_pooled = settings.pooler == "transaction"
        self._statement_timeout = str(settings.write_timeout_ms)
        self._youngest_made_at = self.drained_at = 0.0
        self._is_drain_due = False
        self.pool: ConnectionPool[ObservedConnection[Any]] = ConnectionPool(
            settings.url,
            connection_class=ObservedConnection,
            kwargs={
                "autocommit": True,
                "prepare_threshold": None if self.is_pooled else 0,
                "cursor_factory": ObservedCursor,
                **parameters(settings.url, kind, self.limit_seconds),
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
        """Start the pool; returns at once, connections follow."""
        self.pool.open(wait=False)

    def close(self) -> None:
        """Close every connection."""
        self.pool.close(timeout=STOP_SECONDS)

    def take(self) -> ObservedConnection[Any]:
        """Return a connection that the server has not ended while it lay in the pool.

        Raises PoolTimeout when all are in use for as long as a transaction may take, NoConnection when there is none.
        """
        until = time.monotonic() + self.limit_seconds
        if self._is_drain_due and time.monotonic() - self.drained_at > DRAIN_PAUSE_SECONDS:
            self._give_up_all()
        while True:
            seconds = until - time.monotonic()
            if self._youngest_made_at and self._is_server_away() and not self.session.patient:
                seconds = min(seconds, FRESH_SECONDS)
            try:
                conn = self.pool.getconn(seconds)
            except PoolTimeout as error:
                if self._is_server_away():
                    raise NoConnection(str(error)) from None
                raise
            if not conn.is_ended():
                return conn
            self.drain(conn)
            conn.close()
            self.pool.putconn(conn)

    def give_back(self, conn: ObservedConnection[Any]) -> None:
        """Put a connection back that `take` returned; a closed one is replaced."""
        self.pool.putconn(conn)

    def drain(self, failed: ObservedConnection[Any]) -> None:
        """Give up the connections that were made before `failed` failed: the same has happened to them.

        They are not checked, because a check through a black hole would wait for ever. A server that answers and can't
        serve must not be connected to anew with every request: then the connections that were made after the last drain
        are given up later.
        """
        if failed.made_at <= self.drained_at:
            return
        if failed.is_ended() or time.monotonic() - self.drained_at > DRAIN_PAUSE_SECONDS:
            self._give_up_all()
        else:
            self._is_drain_due = True

    def apply_settings(self, conn: Connection[Any], *, local: bool) -> None:
        """Set everything that statements rely on, the limits and the manner of planning, for the session.

        With `local`, for the transaction: a pooler gives the session to somebody else next.
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
        """Return whether no connection could be made since all were given up."""
        return self._youngest_made_at <= self.drained_at

    def _give_up_all(self) -> None:
        """Close the connections in the pool now, and those in use when they come back."""
        self.drained_at, self._is_drain_due = time.monotonic(), False
        self.pool.drain()

    def _prepare(self, conn: ObservedConnection[Any]) -> None:
        """Called by the pool for each new connection."""
        adapt(conn)
        if not self.is_pooled:
            self.apply_settings(conn, local=False)
        self._youngest_made_at = conn.made_at = time.monotonic()
