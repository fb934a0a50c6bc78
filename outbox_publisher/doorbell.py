"""Wakes the publisher when rows were committed: LISTEN where the connection can carry it, polling in any case."""

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from runner_core.session import listen
from runner_core.settings import Settings

log = logging.getLogger("publisher")
AGAIN_SECONDS = 2.0


class Doorbell:
    """One listening connection. The publisher itself waits on it, so that no other thread has to pass the news on; a
    thread lives only while there is no connection, to make one.

    `drained_at` tells when this process last gave its other connections up, in time.monotonic(): this one may lead to
    the same server, which would never tell of a row again.
    """

    def __init__(self, settings: Settings, drained_at: Callable[[], float] = lambda: 0.0) -> None:
        self._drained_at = drained_at
        self._made_at = 0.0
        self._poll_ms = settings.outbox.poll_ms
        # A pooler in transaction mode can't carry LISTEN: it needs a direct address, or the polling is all there is.
        self._url = settings.database.listen_url or ("" if settings.database.pooler else settings.database.url)
        self._conn: psycopg.Connection[Any] | None = None
        self._rung, self._rings = socket.socketpair()
        self._rings.setblocking(False)
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to listen, beside the caller."""
        if self._url:
            self._connect_beside(0.0)
        else:
            log.warning(
                "no LISTEN through a pooler: polling every %d ms (LISTEN_DATABASE_URL would wake at once)",
                self._poll_ms,
            )

    def ring(self) -> None:
        """There may be rows. For any thread of this process, which wrote them itself."""
        with contextlib.suppress(OSError):  # rung so often already, or closed
            self._rings.send(b"!")

    def wait(self) -> None:
        """Return when there may be rows, at the latest after OUTBOX_POLL_MS. For one thread."""
        conn = self._conn
        waiting = select.poll()
        waiting.register(self._rung, select.POLLIN)
        if conn:
            waiting.register(conn.pgconn.socket, select.POLLIN)
        ready = {fd for fd, _ in waiting.poll(self._poll_ms)}
        if self._rung.fileno() in ready:
            self._rung.recv(4096)
        self.hear()

    def hear(self) -> None:
        """Take what was said, without waiting: a server must not wait for a listener who is busy elsewhere."""
        conn = self._conn
        if not conn:
            return
        if self._made_at < self._drained_at():
            self._give_up(conn, 0.0)
            return
        try:
            conn.pgconn.consume_input()
            while conn.pgconn.notifies():
                pass
            if conn.closed:  # it said something that no server says
                raise psycopg.OperationalError("the connection is closed")
        except psycopg.Error as error:
            log.warning("the listening connection was lost, polling until it is back: %s", error)
            self._give_up(conn, AGAIN_SECONDS)

    def _give_up(self, conn: psycopg.Connection[Any], pause: float) -> None:
        conn.close()
        self._conn = None
        self._connect_beside(pause)

    def stop(self) -> None:
        """Wake whoever waits and connect no more."""
        self._stopped.set()
        self.ring()

    def close(self) -> None:
        """Stop listening. Nobody may wait any more."""
        if self._conn:
            self._conn.close()
        self._rung.close()
        self._rings.close()

    def _connect_beside(self, pause: float) -> None:
        threading.Thread(target=self._connect, args=(pause,), name="doorbell", daemon=True).start()

    def _connect(self, pause: float) -> None:
        while not self._stopped.wait(pause):
            pause = AGAIN_SECONDS
            began = time.monotonic()
            try:
                conn = listen(self._url, "publisher", "bell.listen_outbox")
            except psycopg.Error as error:
                log.warning("can't listen, polling meanwhile: %s", error)
                continue
            if self._stopped.is_set():
                conn.close()
                return
            self._made_at, self._conn = began, conn
            self.ring()  # what was committed before we listened
            return
