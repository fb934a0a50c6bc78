"""Notifies those who wait for commits: the publishers for outbox rows, the API's watchers for jobs that changed.

The transactions that make the changes send no NOTIFY: it takes a lock that serialises commits, and at 16 connections a
third of the commits is left. A thread sends the notifications afterwards, one statement for everything that was
committed within a few milliseconds. (Submissions carry their own NOTIFY, because they share their commits, and do
without it when the server's queue of notifications is full.) A notification that is lost with its process delays its
receivers by no more than their polling interval.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.sqlstate import sqlstate

log = logging.getLogger("notifier")
OUTBOX, JOBS = "beacon_outbox", "beacon_jobs"
OUTBOX_PAUSE_SECONDS = 0.003  # a publisher that hears of a row later starts it later
JOBS_PAUSE_SECONDS = 0.1  # people watch jobs; a busy worker pays for ten statements a second and no more
MAX_PAYLOAD_BYTES = 7900  # PostgreSQL refuses a notification of 8,000
STOP_SECONDS = 1.0

Notification = tuple[str, str]  # channel, payload


class Notifier:
    """Owns one thread of the process, which starts with the first `notify`, so that a server may fork before it.

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
        """Say that these jobs have changed, or that there are new outbox rows; committed. Returns at once."""
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
        """Send what is pending and end the thread, within a second."""
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
            log.warning("could not notify, the receivers poll sqlstate=%s", sqlstate(error))


def payloads(job_ids: Iterable[str]) -> list[str]:
    """Return the ids, separated by spaces, in as few texts as notifications can carry."""
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
