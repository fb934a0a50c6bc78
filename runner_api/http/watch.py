"""Clients that wait for jobs to change: event streams and long polls, all woken by one listening connection.

A waiting client holds no connection of the pool. One thread listens, looks once a second for clients that have left,
and asks one query about all watched jobs. The query runs every second where LISTEN can't work, and every five seconds
where it does, because a process may die between its commit and its notification.
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
MAX_WATCHERS = 100  # of one process; each holds one of the server's threads
CHECK_SECONDS = 1.0
SAFETY_SECONDS = 5.0
CONNECT_SECONDS = 3
AGAIN_SECONDS = 2.0
GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class Watcher:
    """One client that waits for one job. `over`: the client has left, or the server stops."""

    def __init__(self, watchers: "Watchers", job_id: str, sock: socket.socket | None) -> None:
        self.job_id = job_id
        self.over = False
        self.changed = threading.Event()
        self.sock = sock
        self._watchers = watchers

    def clear(self) -> None:
        """Forget earlier changes. Clear, read, then wait: then no commit after the reading is missed."""
        self.changed.clear()
        if self.over:
            self.changed.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the job may have changed or the watcher is over. Return False after `seconds`."""
        return self.changed.wait(max(0.0, seconds))

    def end(self) -> None:
        """Mark the watcher as over and wake its client."""
        self.over = True
        self.changed.set()

    def close(self) -> None:
        """Free the watcher's place. May be called twice."""
        self._watchers.remove(self)

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Watchers:
    """All waiting clients of this process. The thread starts with the first client: a server may fork before."""

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
        """Return the watcher of one more client, whose connection is `sock`. Raises Rejected too_many_streams."""
        watcher = Watcher(self, job_id, sock)
        with self._lock:
            if self._count >= MAX_WATCHERS:
                raise Rejected(
                    "too_many_streams", f"{MAX_WATCHERS} clients already wait for changes. Try again shortly."
                )
            self._count += 1
            self._watched.setdefault(job_id, set()).add(watcher)
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="watch", daemon=True)
                self._thread.start()
        if self._stopped.is_set():
            watcher.end()
        return watcher

    def remove(self, watcher: Watcher) -> None:
        """Free the place of a watcher. Called by the watcher's close."""
        with self._lock:
            same_job = self._watched.get(watcher.job_id, set())
            if watcher in same_job:
                same_job.remove(watcher)
                self._count -= 1
                if not same_job:
                    del self._watched[watcher.job_id]
                    self._seen.pop(watcher.job_id, None)

    def stop(self) -> None:
        """End every wait now, and every later one at once. A signal handler calls this, so it takes no lock."""
        self._stopped.set()
        for watchers in list(self._watched.values()):
            for watcher in list(watchers):
                watcher.end()

    def _listen(self) -> None:
        if not self._url:
            log.warning(
                "LISTEN does not work through a pooler: polling watched jobs every second. "
                "Set LISTEN_DATABASE_URL to be notified"
            )
            while not self._stopped.wait(CHECK_SECONDS):
                self._check(0.0)
        while not self._stopped.is_set():
            began = time.monotonic()
            fence = self._db.fence
            try:
                url = fence.newest_first(self._url, "api", CONNECT_SECONDS)
                with listen(url, "api", "bell.listen_jobs", CONNECT_SECONDS, fence.admit) as conn:
                    self._wake(list(self._watched))  # changes may have been committed before LISTEN
                    # A drained pool means that the server changed: this connection may lead to the old server too.
                    while not self._stopped.is_set() and self._db.drained_at < began:
                        for notice in conn.notifies(timeout=CHECK_SECONDS):
                            self._wake(notice.payload.split())
                        self._check(SAFETY_SECONDS)
            except psycopg.Error as error:
                log.warning("the listening connection was lost, polling until it is back: %s", error)
                until = time.monotonic() + AGAIN_SECONDS
                while not self._stopped.is_set() and time.monotonic() < until:
                    self._check(0.0)
                    self._stopped.wait(CHECK_SECONDS)

    def _wake(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            if job_id in self._watched:
                with self._lock:
                    for watcher in self._watched.get(job_id, ()):
                        watcher.changed.set()

    def _check(self, period_seconds: float) -> None:
        """End the watchers of clients that have left; after `period_seconds` ask which watched jobs have changed."""
        with self._lock:
            watchers = [watcher for same_job in self._watched.values() for watcher in same_job]
        self._end_disconnected(watchers)
        now = time.monotonic()
        if not watchers or now < self._next_poll:
            return
        self._next_poll = now + period_seconds
        try:
            with self._db.transaction() as conn:
                jobs = queries.rows(conn, "reads.watched", job_ids=list(self._watched))
            found = {job["id"]: (job["version"], job["calls_done"]) for job in jobs}
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("can't read the watched jobs sqlstate=%s", sqlstate(error))
            return
        changed = [job_id for job_id in {w.job_id for w in watchers} if self._seen.get(job_id) != found.get(job_id)]
        self._seen = found
        self._wake(changed)

    def _end_disconnected(self, watchers: list[Watcher]) -> None:
        poll = select.poll()
        by_fd = {w.sock.fileno(): w for w in watchers if w.sock is not None}
        for fd in by_fd:
            if fd >= 0:
                poll.register(fd, GONE)
        for fd, _ in poll.poll(0):
            by_fd[fd].end()
