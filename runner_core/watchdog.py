"""The client's own time limit. A connection through a black hole blocks for ever, whatever the server's timeouts and
TCP's say; shutting its socket down from outside is what ends it.
"""

import contextlib
import logging
import socket
import threading
import time

log = logging.getLogger("db.watchdog")
CHECK_SECONDS = 0.5


class Watchdog:
    """One thread a process, from the first guard on. It looks twice a second instead of being woken for each: a thread
    that wakes takes the interpreter's lock from the one that is about to send a statement."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[socket.socket, float] = {}
        self._thread: threading.Thread | None = None

    def guard(self, dup_socket: socket.socket, seconds: float) -> None:
        """Shut the connection of `dup_socket` down in so many seconds, unless it is released before."""
        with self._lock:
            self._watched[dup_socket] = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="db-watchdog", daemon=True)
                self._thread.start()

    def release(self, dup_socket: socket.socket | None) -> None:
        """It was in time, or too late: either way it is guarded no more."""
        if dup_socket:
            with self._lock:
                self._watched.pop(dup_socket, None)

    def _watch(self) -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            with self._lock:
                now = time.monotonic()
                for dup_socket in [s for s, deadline in self._watched.items() if deadline < now]:
                    del self._watched[dup_socket]
                    log.warning("a transaction passed its time limit; its connection is shut down")
                    with contextlib.suppress(OSError):  # the other side was faster, or its owner has closed it
                        dup_socket.shutdown(socket.SHUT_RDWR)
