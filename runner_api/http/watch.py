"""Clients that wait for jobs to change: event streams and long polls, all woken by one listening connection.

Nobody holds a pool connection while waiting. One thread listens, looks once a second for clients that have gone, and
asks one query about all watched jobs: every second where LISTEN can't work, every five where it does, because a
notification is lost with the process that owed it.
"""

import logging
import select
import socket
import threading
import time
from collections.abc import Iterable
from types import TracebackType

import psycopg
from psycopg_pool import PoolTimeout

from runner_core import queries
from runner_core.db import Database
from runner_core.errors import Rejected
from runner_core.session import listen
from runner_core.sqlstate import sqlstate

log = logging.getLogger("api.watch")
MOST = 100  # streams and waits of one process; each holds one of the server's threads
LOOK_SECONDS = 1.0
SAFETY_SECONDS = 5.0
CONNECT_SECONDS = 3
AGAIN_SECONDS = 2.0
GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class Watcher:
    """One client that waits for one job; `over` when there is no point in that: it has gone, or the server goes."""

    def __init__(self, watchers: "Watchers", job_id: str, sock: socket.socket | None) -> None:
        self.job_id = job_id
        self.over = False
        self.changed = threading.Event()
        self.sock = sock
        self._watchers = watchers

    def clear(self) -> None:
        """Forget earlier changes. Then read, then wait: what is committed after the reading is not missed."""
        self.changed.clear()
        if self.over:
            self.changed.set()

    def wait(self, seconds: float) -> bool:
        """Return when the job may have changed, or it is over; False after `seconds`."""
        return self.changed.wait(max(0.0, seconds))

    def end(self) -> None:
        """Wake the client for the last time."""
        self.over = True
        self.changed.set()

    def close(self) -> None:
        """Give the place to another. May be called twice."""
        self._watchers.remove(self)

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Watchers:
    """Every waiting client of this process. The thread starts with the first, so that a server may fork before."""

    def __init__(self, db: Database) -> None:
        self._db = db
        settings = db.settings
        # A pooler in transaction mode can't carry LISTEN.
        self._url = settings.database.listen_url or ("" if settings.database.pooler else settings.database.url)
        self._lock = threading.Lock()
        self._watched: dict[str, set[Watcher]] = {}
        self._count = 0
        self._seen: dict[str, tuple[int, int]] = {}
        self._next_poll = 0.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, job_id: str, sock: socket.socket | None = None) -> Watcher:
        """A place for one more client; `sock` is its connection. Raises Rejected too_many_streams."""
        watcher = Watcher(self, job_id, sock)
        with self._lock:
            if self._count >= MOST:
                raise Rejected("too_many_streams", f"{MOST} clients wait here already. Try again shortly.")
            self._count += 1
            self._watched.setdefault(job_id, set()).add(watcher)
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="watch", daemon=True)
                self._thread.start()
        if self._stopped.is_set():
            watcher.end()
        return watcher

    def remove(self, watcher: Watcher) -> None:
        """Called by the watcher's close."""
        with self._lock:
            same_job = self._watched.get(watcher.job_id, set())
            if watcher in same_job:
                same_job.remove(watcher)
                self._count -= 1
                if not same_job:
                    del self._watched[watcher.job_id]
                    self._seen.pop(watcher.job_id, None)

    def stop(self) -> None:
        """End every wait now, and every later one at once. Called in a signal handler: it takes no lock of ours."""
        self._stopped.set()
        for watchers in list(self._watched.values()):
            for watcher in list(watchers):
                watcher.end()

    def _listen(self) -> None:
        if not self._url:
            log.warning("no LISTEN through a pooler: watched jobs are polled every second (see LISTEN_DATABASE_URL)")
            while not self._stopped.wait(LOOK_SECONDS):
                self._look(0.0)
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                with listen(self._url, "api", "bell.listen_jobs", CONNECT_SECONDS) as conn:
                    self._wake(list(self._watched))  # what was committed before we listened
                    # When the pool's connections are given up, this one may lead to the same server.
                    while not self._stopped.is_set() and self._db.drained_at < began:
                        for notice in conn.notifies(timeout=LOOK_SECONDS):
                            self._wake(notice.payload.split())
                        self._look(SAFETY_SECONDS)
            except psycopg.Error as error:
                log.warning("the listening connection was lost, polling until it is back: %s", error)
                until = time.monotonic() + AGAIN_SECONDS
                while not self._stopped.is_set() and time.monotonic() < until:
                    self._look(0.0)
                    self._stopped.wait(LOOK_SECONDS)

    def _wake(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            if job_id in self._watched:
                with self._lock:
                    for watcher in self._watched.get(job_id, ()):
                        watcher.changed.set()

    def _look(self, period_seconds: float) -> None:
        """Let go of clients that have gone; when it is time to, ask which of the watched jobs have changed."""
        with self._lock:
            watchers = [watcher for same_job in self._watched.values() for watcher in same_job]
        self._let_go(watchers)
        now = time.monotonic()
        if not watchers or now < self._next_poll:
            return
        self._next_poll = now + period_seconds
        try:
            with self._db.transaction() as conn:
                jobs = queries.rows(conn, "reads.watched", job_ids=list(self._watched))
            found = {job["id"]: (job["version"], job["calls_done"]) for job in jobs}
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("watched jobs can't be asked about sqlstate=%s", sqlstate(error))
            return
        changed = [job_id for job_id in {w.job_id for w in watchers} if self._seen.get(job_id) != found.get(job_id)]
        self._seen = found
        self._wake(changed)

    def _let_go(self, watchers: list[Watcher]) -> None:
        poll = select.poll()
        by_fd = {w.sock.fileno(): w for w in watchers if w.sock is not None}
        for fd in by_fd:
            if fd >= 0:
                poll.register(fd, GONE)
        for fd, _ in poll.poll(0):
            by_fd[fd].end()
