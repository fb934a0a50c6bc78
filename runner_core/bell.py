"""Wakes whoever waits for a commit: the publishers for outbox rows, the API's watchers for jobs that changed.

Not inside the transactions that make the changes: NOTIFY takes a lock that serialises commits, and at 16 connections a
third of them is left. So a thread sends it afterwards, one statement for all that was committed within a few
milliseconds. (Submissions carry their own, because they share their commits, and do without it when the server's queue
of notifications is full.) What is lost with a process costs its receivers no more than their polling interval.
"""

import logging
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.failures import sqlstate
from runner_core.queries import run

if TYPE_CHECKING:
    from runner_core.db import Database

log = logging.getLogger("bell")
OUTBOX, JOBS = "beacon_outbox", "beacon_jobs"
OUTBOX_PAUSE_SECONDS = 0.003  # a publisher that hears of a row later starts it later
JOBS_PAUSE_SECONDS = 0.1  # what people watch; a busy worker pays for ten statements a second and no more
MOST_BYTES = 7900  # of one notification; PostgreSQL refuses 8,000
STOP_SECONDS = 1.0


class Bell:
    """One thread a process; it starts with the first ring, so that a server may fork before."""

    def __init__(self, db: "Database") -> None:
        self._db = db
        self._lock = threading.Lock()
        self._jobs: set[str] = set()
        self._outbox = False
        self._rung = threading.Event()
        self._hurry = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def ring(self, job_ids: Iterable[str] = (), *, outbox: bool = False) -> None:
        """These jobs have changed, or there are new outbox rows; committed. Returns at once."""
        with self._lock:
            self._jobs.update(job_ids)
            self._outbox = self._outbox or outbox
            if not self._jobs and not self._outbox:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._ring_on, name="bell", daemon=True)
                self._thread.start()
        self._rung.set()
        if outbox:
            self._hurry.set()

    def stop(self) -> None:
        """Pass on what was rung and end, within a second."""
        self._stopped.set()
        self._rung.set()
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _ring_on(self) -> None:
        next_jobs = 0.0
        while not self._stopped.is_set():
            self._rung.wait()
            self._hurry.wait(max(0.0, next_jobs - time.monotonic()))
            self._rung.clear()
            self._hurry.clear()
            self._send()
            next_jobs = time.monotonic() + JOBS_PAUSE_SECONDS
            self._stopped.wait(OUTBOX_PAUSE_SECONDS)
        self._send()

    def _send(self) -> None:
        with self._lock:
            job_ids, self._jobs = self._jobs, set()
            outbox, self._outbox = self._outbox, False
        notices = [(JOBS, payload) for payload in payloads(job_ids)] + ([(OUTBOX, "")] if outbox else [])
        if not notices:
            return
        try:
            with self._db.statement(optional=True) as conn:
                run(conn, "bell.ring", channels=[n[0] for n in notices], payloads=[n[1] for n in notices])
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("could not notify, the receivers poll sqlstate=%s", sqlstate(error))


def payloads(job_ids: Iterable[str]) -> list[str]:
    """The ids, separated by spaces, in as few texts as notifications can carry."""
    texts: list[str] = []
    size = MOST_BYTES
    for job_id in job_ids:
        size += 1 + len(job_id)
        if size > MOST_BYTES:
            texts.append(job_id)
            size = len(job_id)
        else:
            texts[-1] += " " + job_id
    return texts
