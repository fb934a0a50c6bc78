"""The client's own time limit for transactions.

If the network drops all packets, a connection blocks for ever despite the timeouts of the server and of TCP. Shutting
its socket down from another thread ends the wait.
"""

import contextlib
import logging
import socket
import threading
import time

log = logging.getLogger("db.watchdog")
CHECK_SECONDS = 0.5


class Watchdog:
    """Shuts down connections whose time is over, in one thread per process that starts with the first `guard`.

    The thread checks twice a second and is not woken by `guard`: a thread that wakes takes the interpreter's lock from
    the thread that is about to send a statement.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[socket.socket, float] = {}
        self._thread: threading.Thread | None = None

    def guard(self, dup_socket: socket.socket, seconds: float) -> None:
        """Shut the connection of `dup_socket` down after `seconds`, unless `release` is called before."""
        with self._lock:
            self._watched[dup_socket] = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="db-watchdog", daemon=True)
                self._thread.start()

    def release(self, dup_socket: socket.socket | None) -> None:
        """Stop guarding a connection, whether or not it was shut down."""
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
                    with contextlib.suppress(OSError):  # the server or the owner has closed it before
                        dup_socket.shutdown(socket.SHUT_RDWR)
