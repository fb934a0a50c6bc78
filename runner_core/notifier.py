"""Sends NOTIFY after commits: to publishers for new outbox rows, to the API's watchers for changed jobs.

The transactions that make the changes send no NOTIFY, because NOTIFY takes a lock that serialises commits: with 16
connections only a third of the commit rate was left. A thread sends the notifications after the commits, in one
statement for all commits of a few milliseconds. (A submission sends its own NOTIFY, because submissions share their
commits; it omits NOTIFY if the server's notification queue is full.) If a process dies before it notifies, the
receivers learn of the change by polling.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.sqlstate import sqlstate

log = logging.getLogger("notifier")
OUTBOX, JOBS = "outbox", "jobs"  # the statement adds the cell to the names of channels
OUTBOX_PAUSE_SECONDS = 0.003  # short: it delays the publishing of a row
JOBS_PAUSE_SECONDS = 0.1  # people watch jobs, so ten notifications a second are enough
MAX_PAYLOAD_BYTES = 7900  # PostgreSQL refuses a payload of 8,000 bytes
STOP_SECONDS = 1.0

Notification = tuple[str, str]  # channel, payload


class Notifier:
    """Sends notifications in its own thread. The thread starts at the first `notify`, so that a server may fork before.

    `send` sends notifications to PostgreSQL, and may raise psycopg's errors.
    """

    def __init__(self, send: Callable[[list[Notification]], object]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._jobs: set[str] = set()
        self._outbox = False
        self._pending = threading.Event()
        self._urgent = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def notify(self, job_ids: Iterable[str] = (), *, outbox: bool = False) -> None:
        """Notify that these jobs have changed, or that there are new outbox rows. Call it after the commit. Returns at
        once."""
        with self._lock:
            self._jobs.update(job_ids)
            self._outbox = self._outbox or outbox
            if not self._jobs and not self._outbox:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
                self._thread.start()
        self._pending.set()
        if outbox:
            self._urgent.set()

    def stop(self) -> None:
        """Send the pending notifications and end the thread, within a second."""
        self._stopped.set()
        self._pending.set()
        self._urgent.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        next_jobs = 0.0
        while not self._stopped.is_set():
            self._pending.wait()
            self._urgent.wait(max(0.0, next_jobs - time.monotonic()))
            self._pending.clear()
            self._urgent.clear()
            self._send_pending()
            next_jobs = time.monotonic() + JOBS_PAUSE_SECONDS
            self._stopped.wait(OUTBOX_PAUSE_SECONDS)
        self._send_pending()

    def _send_pending(self) -> None:
        with self._lock:
            job_ids, self._jobs = self._jobs, set()
            outbox, self._outbox = self._outbox, False
        notifications = [(JOBS, payload) for payload in payloads(job_ids)] + ([(OUTBOX, "")] if outbox else [])
        if not notifications:
            return
        try:
            self._send(notifications)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("NOTIFY failed, so listening processes poll instead sqlstate=%s", sqlstate(error))


def payloads(job_ids: Iterable[str]) -> list[str]:
    """Return the ids, separated by spaces, in as few payloads as possible."""
    texts: list[str] = []
    size = MAX_PAYLOAD_BYTES
    for job_id in job_ids:
        size += 1 + len(job_id)
        if size > MAX_PAYLOAD_BYTES:
            texts.append(job_id)
            size = len(job_id)
        else:
            texts[-1] += " " + job_id
    return texts
