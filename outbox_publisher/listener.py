"""Wakes the publisher when rows were committed: by LISTEN if the connection supports it, and by polling always."""

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from runner_core.session import CONNECT_SECONDS, listen
from runner_core.settings import Settings
from runner_core.timeline import Fence

log = logging.getLogger("publisher")
RECONNECT_SECONDS = 2.0


class OutboxListener:
    """Waits for notifications on one connection. The publisher's own thread waits on the connection's socket, because
    another thread would have to pass the notification on. A second thread exists only while it connects.

    `drained_at()` returns the time.monotonic() at which this process last gave up its pooled connections. This
    connection then reconnects, because it may lead to the same failed server, which sends no notifications. `fence`
    refuses an older primary, which sends none either.
    """

    def __init__(
        self, settings: Settings, drained_at: Callable[[], float] = lambda: 0.0, fence: Fence | None = None
    ) -> None:
        self._drained_at = drained_at
        self._fence = fence or Fence()
        self._connected_at = 0.0
        self._poll_ms = settings.outbox.poll_ms
        # A pooler in transaction mode does not support LISTEN: use the direct address if there is one, else only poll.
        self._url = settings.database.listen_url or ("" if settings.database.pooler else settings.database.url)
        self._conn: psycopg.Connection[Any] | None = None
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_sender.setblocking(False)
        self._stopped = threading.Event()

    def start(self) -> None:
        """Connect and start to listen, in another thread."""
        if self._url:
            self._connect_beside(0.0)
        else:
            log.warning(
                "LISTEN does not work through a pooler: polling every %d ms. Set LISTEN_DATABASE_URL to be notified",
                self._poll_ms,
            )

    def wake(self) -> None:
        """End the current or the next `wait`, because this process has written rows. Any thread may call this."""
        with contextlib.suppress(OSError):  # the socket's buffer is full of earlier calls, or the socket is closed
            self._wake_sender.send(b"!")

    def wait(self) -> None:
        """Return when rows may wait, at the latest after OUTBOX_POLL_MS. One thread calls this."""
        conn = self._conn
        waiting = select.poll()
        waiting.register(self._wake_receiver, select.POLLIN)
        if conn:
            waiting.register(conn.pgconn.socket, select.POLLIN)
        ready = {fd for fd, _ in waiting.poll(self._poll_ms)}
        if self._wake_receiver.fileno() in ready:
            self._wake_receiver.recv(4096)
        self.consume()

    def consume(self) -> None:
        """Read the notifications that have arrived, without waiting.

        Called also while the publisher is busy, because the server stores all notifications that a listener does not
        read.
        """
        conn = self._conn
        if not conn:
            return
        if self._connected_at < self._drained_at():
            self._replace(conn, 0.0)
            return
        try:
            conn.pgconn.consume_input()
            while conn.pgconn.notifies():
                pass
            if conn.closed:  # the server broke the protocol
                raise psycopg.OperationalError("the connection is closed")
        except psycopg.Error as error:
            log.warning("the listening connection was lost, polling until it is back: %s", error)
            self._replace(conn, RECONNECT_SECONDS)

    def has_notifications(self) -> bool:
        """Return whether there are unread notifications."""
        return bool(self._conn and select.select([self._conn], [], [], 0)[0])

    def stop(self) -> None:
        """Wake the publisher, and do not reconnect any more."""
        self._stopped.set()
        self.wake()

    def close(self) -> None:
        """Close the connection. No thread may call `wait` any more."""
        if self._conn:
            self._conn.close()
        self._wake_receiver.close()
        self._wake_sender.close()

    def _replace(self, conn: psycopg.Connection[Any], pause: float) -> None:
        conn.close()
        self._conn = None
        self._connect_beside(pause)

    def _connect_beside(self, pause: float) -> None:
        threading.Thread(target=self._connect, args=(pause,), name="listener", daemon=True).start()

    def _connect(self, pause: float) -> None:
        while not self._stopped.wait(pause):
            pause = RECONNECT_SECONDS
            began = time.monotonic()
            try:
                url = self._fence.newest_first(self._url, "publisher", CONNECT_SECONDS)
                conn = listen(url, "publisher", "bell.listen_outbox", admit=self._fence.admit)
            except psycopg.Error as error:
                log.warning("can't listen for notifications, polling until the connection is back: %s", error)
                continue
            if self._stopped.is_set():
                conn.close()
                return
            self._connected_at, self._conn = began, conn
            self.wake()  # rows may have been committed before this connection listened
            return
