"""The client's own time limit. A connection through a black hole blocks for ever, whatever the server's timeouts and
TCP's say; shutting its socket down from outside is what ends it.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("db.watchdog")
CHECK_SECONDS = 0.25


class Watchdog:
    """One thread a process; it exists only while there is something to watch for the first time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, float] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def guard(self, fd: int, seconds: float) -> Iterator[None]:
        """Shut the socket `fd` down if the block takes longer than `seconds`.

        The descriptor is duplicated: the original may be closed, and its number given to another, at any moment.
        """
        twin = os.dup(fd)
        with self._lock:
            self._watched[twin] = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="db-watchdog", daemon=True)
                self._thread.start()
        self._wake.set()
        try:
            yield
        finally:
            with self._lock:
                self._watched.pop(twin, None)
                os.close(twin)

    def _watch(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(CHECK_SECONDS)
            with self._lock:
                now = time.monotonic()
                for twin in [t for t, deadline in self._watched.items() if deadline < now]:
                    del self._watched[twin]
                    log.warning("a transaction passed its time limit; its connection is shut down")
                    _shut_down(twin)
                if not self._watched:
                    self._wake.clear()


def _shut_down(twin: int) -> None:
    end = socket.socket(fileno=os.dup(twin))
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:  # the other side was faster
        pass
    finally:
        end.close()
