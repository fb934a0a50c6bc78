"""Knows which jobs are due: looks for them in the database, and sets jobs aside whose analysis fails.

Everything here is in memory. A new process finds all of it again, because it looks at every job that ended since the
database could hold analyses.
"""

import logging
import random
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner_core.db import Database, retried
from runner_core.store import analyses
from runner_core.store.analyses import Place

log = logging.getLogger("analyst")
PAGE = 100
# A job's end and a label have the time of their statement, and are seen after their COMMIT. No transaction takes longer
# than ten seconds.
MARGIN = timedelta(minutes=1)
FIRST_PAUSE_SECONDS = 30.0  # doubled each time the analysis fails again
MAX_PAUSE_SECONDS = 3600.0


@dataclass
class _Failed:
    """A job whose analysis failed: when it is tried again, by time.monotonic(), and after which pause."""

    again_at: float
    pause: float


class DueJobs:
    """The jobs that are due, the newest first. Owned by one thread.

    `look` finds what is new, and page by page what was left by earlier processes. `take` gives one job at a time, so
    that a job which has just ended does not wait for all the older ones.
    """

    def __init__(self, db: Database, method: str) -> None:
        self._db = db
        self._method = method
        self._recent: deque[str] = deque()
        self._earlier: list[str] = []
        self._failed: dict[str, _Failed] = {}
        self._since: datetime | None = None  # everything that happened from here on is looked at again
        self._horizon: datetime | None = None
        self._earlier_before: Place | None = None  # the next page of earlier ends; None if none is left
        self._rng = random.Random()  # noqa: S311 - which job comes first is no secret

    def __len__(self) -> int:
        """Return the number of jobs that are known to be due, those set aside among them."""
        return len({*self._recent, *self._earlier, *self._failed})

    def look(self) -> None:
        """Look for jobs that have become due, and if few are known at a further page of earlier ones.

        Raises psycopg.Error or PoolTimeout; then the same is looked at the next time.
        """
        now, horizon = _clock(self._db)
        if self._since is None or self._horizon is None:
            self._since, self._horizon = now - MARGIN, horizon
            # Recent is what happened after `since`; what happened at `since` itself is the first of the earlier.
            self._earlier_before = Place(self._since + timedelta(microseconds=1))
        self._look_at_recent(now, self._since)
        self._since = max(self._since, now - MARGIN)
        if self._earlier_before and len(self._earlier) < PAGE:
            due, self._earlier_before = _page(self._db, self._method, self._horizon, self._earlier_before)
            known = {*self._recent, *self._earlier}
            self._earlier += [job_id for job_id in due if job_id not in known]

    def take(self) -> str | None:
        """Return a job to analyse, and forget it; None if none is known that may be tried now.

        An earlier one is drawn: a job that ends the process each time does not stop those behind it, and two analysts
        seldom take the same.
        """
        while self._recent:
            if self._may_be_tried(job_id := self._recent.popleft()):
                return job_id
        while self._earlier:
            if self._may_be_tried(job_id := self._earlier.pop(self._rng.randrange(len(self._earlier)))):
                return job_id
        return next(filter(self._may_be_tried, self._failed), None)

    @property
    def has_more(self) -> bool:
        """Return whether earlier jobs have not been looked at."""
        return self._earlier_before is not None

    def put_back(self, job_id: str) -> None:
        """Keep a job that was taken and could not be looked at."""
        self._recent.appendleft(job_id)

    def done(self, job_id: str) -> None:
        """Forget that the analysis of a job has failed."""
        self._failed.pop(job_id, None)

    def set_aside(self, job_id: str) -> float:
        """Leave a job out for a while, because its analysis has failed; return the pause in seconds."""
        before = self._failed.get(job_id)
        pause = min(2 * before.pause, MAX_PAUSE_SECONDS) if before else FIRST_PAUSE_SECONDS
        self._failed[job_id] = _Failed(time.monotonic() + pause, pause)
        return pause

    def _look_at_recent(self, now: datetime, since: datetime) -> None:
        found: list[str] = []
        before: Place | None = Place(now + MARGIN)  # a clock may have been set back
        while before:
            due, before = _page(self._db, self._method, since, before)
            found += due
        known = {*self._recent, *self._earlier}
        self._recent.extendleft(reversed([job_id for job_id in dict.fromkeys(found) if job_id not in known]))

    def _may_be_tried(self, job_id: str) -> bool:
        failed = self._failed.get(job_id)
        return failed is None or failed.again_at <= time.monotonic()


@retried
def _clock(db: Database) -> tuple[datetime, datetime]:
    with db.transaction() as conn:
        return analyses.clock(conn)


@retried
def _page(db: Database, method: str, since: datetime, before: Place) -> tuple[list[str], Place | None]:
    with db.transaction() as conn:
        return analyses.due_page(conn, method, since=since, before=before, page=PAGE)
