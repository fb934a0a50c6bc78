"""The client's own time limit. A connection through a black hole blocks for ever, whatever the server's timeouts and
TCP's say; shutting its socket down from outside is what ends it.
"""

import logging
import os
import socket
import threading
import time

log = logging.getLogger("db.watchdog")
CHECK_SECONDS = 0.5


class Watchdog:
    """One thread a process, from the first block on. It looks twice a second instead of being woken for each block: a
    thread that wakes takes the interpreter's lock from the one that is about to send a statement."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, float] = {}
        self._thread: threading.Thread | None = None

    def guard(self, fd: int, seconds: float) -> int:
        """Shut the socket `fd` down in so many seconds, unless what this returns is released before.

        The descriptor is duplicated: the original may be closed, and its number given to another, at any moment.
        """
        twin = os.dup(fd)
        with self._lock:
            self._watched[twin] = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="db-watchdog", daemon=True)
                self._thread.start()
        return twin

    def release(self, guard: int) -> None:
        """It was in time, or too late: either way this guard has done its work."""
        with self._lock:
            self._watched.pop(guard, None)
            os.close(guard)

    def _watch(self) -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            with self._lock:
                now = time.monotonic()
                for twin in [t for t, deadline in self._watched.items() if deadline < now]:
                    del self._watched[twin]
                    log.warning("a transaction passed its time limit; its connection is shut down")
                    _shut_down(twin)


def _shut_down(twin: int) -> None:
    end = socket.socket(fileno=os.dup(twin))
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:  # the other side was faster
        pass
    finally:
        end.close()
