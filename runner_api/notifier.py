"""Wakes the publishers after a commit: one NOTIFY for all that was committed within a few milliseconds.

Not in transaction A: NOTIFY takes a lock that serialises commits, and at 16 connections a third of them is left. A
notification that is lost costs nothing but the publishers' polling interval.
"""

import logging
import threading

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.db import Database, sqlstate
from runner_core.queries import run

log = logging.getLogger("api.notifier")
PAUSE_SECONDS = 0.003


class Notifier:
    """One thread a process; it starts with the first ring, so that a server may fork before."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._rung = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """There are new outbox rows, committed. Returns at once."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._notify, name="notifier", daemon=True)
                    self._thread.start()
        self._rung.set()

    def stop(self) -> None:
        """Pass on what was rung and end."""
        self._stopped.set()
        self._rung.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def _notify(self) -> None:
        while self._rung.wait() and not self._stopped.is_set():
            self._rung.clear()
            self._send()
            self._stopped.wait(PAUSE_SECONDS)
        self._send()

    def _send(self) -> None:
        try:
            with self._db.transaction() as conn:
                run(conn, "outbox.notify")
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("could not notify, the publishers poll sqlstate=%s", sqlstate(error))
