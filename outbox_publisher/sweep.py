"""Brings back what got lost: leases that ran out, messages that Redis no longer holds, regions that can't go on.

Recovery has no road of its own: it writes outbox rows, and the publisher and the claim do what they always do.
Everything here is driven by what has not ended, never by what was not yet sent.
"""

import json
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import Connection
from redis.exceptions import RedisError, ResponseError

from outbox_publisher.aside import Aside, Batch, may_be_of_a_row
from runner_core import endings
from runner_core.db import Database, retried
from runner_core.queries import Row, rows
from runner_core.store import outbox
from runner_core.telemetry import LEASES_EXPIRED, REGIONS_STAGED, about
from runner_queue.broker import Broker
from runner_queue.connection import text_of
from runner_queue.refusals import refusal_of

log = logging.getLogger("sweeper")
PAGE = 500
LEASES, MESSAGES = 1, 2  # the two works of which each has one sweeper at a time

REASONS = {
    "worker_crashed": "The region's worker was lost in each of its attempts.",
    "queue_timeout": "No worker took the region in time.",
    "undeliverable": "The region's message could not be delivered to the queue.",
}


class Sweeper:
    """Knows when which pass is due. `run_once` is what the publisher's thread calls every second."""

    def __init__(self, db: Database, broker: Broker) -> None:
        self.db = db
        self.broker = broker
        self.lease = timedelta(seconds=db.settings.jobs.lease_seconds)
        self._suspicious = 0  # complete passes that are still to ask for every message, however young
        self._next_check = 0.0
        self._leases_aside, self._messages_aside = Aside[str]("leases"), Aside[str]("messages")

    def run_once(self) -> int:
        """Take back expired leases and, when due, look for lost messages; returns how many regions moved."""
        return self._take_back_all() + self._check_messages()

    def _take_back_all(self) -> int:
        moved = 0
        try:
            while count := take_back(self.db, self._leases_aside):
                moved += count
        except psycopg.Error as error:
            if not may_be_of_a_row(error):
                raise
            log.error("can't take leases back, lost messages are looked for all the same: %s", error)
        return moved

    def _check_messages(self) -> int:
        """Ask Redis for the messages of every open region: all of them at once when Redis may have lost some.

        What keeps a pass from its end leaves it due. After a loss there is a second one, for the jobs that somebody
        had locked during the first.
        """
        try:
            if self.broker.sentinel_changed():
                log.warning("Redis is new or was emptied: checking every open region")
                self._suspicious = 2
            if not self._suspicious and time.monotonic() < self._next_check:
                return 0
            # The age spares messages that a live worker may just be claiming. Age plus period stay within three leases.
            moved, complete = self._check_all(timedelta(0) if self._suspicious else 2 * self.lease)
        except RedisError as error:
            log.warning("Redis can't be asked for its messages: %s", error)
            self._next_check = 0.0
            return 0
        if complete:
            self._suspicious = max(0, self._suspicious - 1)
            self._next_check = time.monotonic() + self.lease.total_seconds()
        return moved

    def _check_all(self, age: timedelta) -> tuple[int, bool]:
        """Page through the open jobs; how many regions moved, and whether no other sweeper took the lead meanwhile."""
        now, topics = _open(self.db)
        # Read before any job is locked, and after the clock: what was sent before it is here, or was taken, or is lost.
        known = {topic: ids for topic in topics if (ids := self._queued_ids(topic)) is not None}

        def is_queued(topic: str, dispatch_id: str) -> bool:
            return topic not in known or dispatch_id in known[topic]  # a queue that came since is the next pass's

        moved, after = 0, ""
        while True:
            page = check_page(self.db, after, now - age, is_queued, self._messages_aside)
            if page is None:
                return moved, False
            last, count = page
            moved += count
            if last is None:
                return moved, True
            after = last

    def _queued_ids(self, topic: str) -> set[str] | None:
        """None for a queue whose key holds something else: it keeps nobody from asking for the others."""
        try:
            return self.broker.queued_ids(topic)
        except ResponseError as error:
            if refusal_of(text_of(error)).concerns != "row":
                raise
            log.error("rq:queue:%s is no list, messages that it lost are not found: %s", topic, error)
            return None


def take_back(db: Database, aside: Aside[str] | None = None) -> int:
    """Clear a page of leases that ran out and stage or end their regions; returns how many, 0 when none is left.

    A job that makes this fail is set aside, and counts.
    """
    return (aside or Aside("leases")).run(PAGE, lambda batch: _take_back(db, batch)) or 0


@retried
def _take_back(db: Database, batch: Batch[str]) -> int | None:
    batch.taken = []
    with db.transaction() as conn:
        if not _leading(conn, LEASES):
            return None
        expired = [r["job_id"] for r in rows(conn, "sweep.expired", page=batch.size, left_out=batch.left_out)]
        batch.taken = expired
        if not expired:
            return 0
        job_ids = [r["id"] for r in rows(conn, "sweep.lock", job_ids=expired)]
        cleared = rows(conn, "sweep.clear", job_ids=job_ids)
        doomed = _end_doomed(conn, job_ids)
        lost = [(r["job_id"], r["region"], "lease_expired") for r in cleared if _key(r) not in doomed]
        if lost:
            outbox.stage(conn, lost)
        ended = endings.close(conn, job_ids)
    LEASES_EXPIRED.inc(len(cleared))
    REGIONS_STAGED.labels("lease_expired").inc(len(lost))
    ended.report()
    db.notifier.notify(job_ids)
    return len(cleared)


def check_page(
    db: Database,
    after: str,
    as_of: datetime,
    is_queued: Callable[[str, str], bool],
    aside: Aside[str] | None = None,
) -> tuple[str | None, int] | None:
    """End the doomed and stage the silent among the next open jobs after `after`; set aside who makes this fail.

    Returns the last job id of the page (None when there are no more) and the number of regions moved; None when
    another sweeper works.
    """
    last: str | None = None

    def check(batch: Batch[str]) -> int | None:
        nonlocal last
        try:
            return _check(db, batch, after, as_of, is_queued)
        finally:
            if last is None and batch.taken:  # when its jobs are done one by one, the page stays the same
                last = batch.taken[-1]

    moved = (aside or Aside("messages")).run(PAGE, check)
    return None if moved is None else (last, moved)


@retried
def _check(
    db: Database, batch: Batch[str], after: str, as_of: datetime, is_queued: Callable[[str, str], bool]
) -> int | None:
    batch.taken = []
    with db.transaction() as conn:
        if not _leading(conn, MESSAGES):
            return None
        page = rows(conn, "sweep.page", after=after, page=batch.size, left_out=batch.left_out)
        batch.taken = job_ids = [r["id"] for r in page]
        if not job_ids:
            return 0
        doomed = _end_doomed(conn, job_ids)
        lost = [
            (r["job_id"], r["region"], "message_lost")
            for r in rows(conn, "sweep.silent", job_ids=job_ids, as_of=as_of)
            if _key(r) not in doomed and not (r["dispatch_id"] and is_queued(r["topic"], r["dispatch_id"]))
        ]
        if lost:
            outbox.stage(conn, lost)
        ended = endings.close(conn, [job_id for job_id, _ in doomed]) if doomed else endings.Endings([], [])
    if lost:
        REGIONS_STAGED.labels("message_lost").inc(len(lost))
        log.warning("staged %d regions whose message was lost", len(lost))
    ended.report()
    db.notifier.notify({job_id for job_id, _ in doomed}.union(row[0] for row in lost))
    return len(lost) + len(doomed)


def _end_doomed(conn: Connection[Any], job_ids: list[str]) -> set[tuple[str, str]]:
    doomed = rows(conn, "sweep.doomed", job_ids=job_ids)
    if doomed:
        rows(
            conn,
            "sweep.end",
            job_ids=[r["job_id"] for r in doomed],
            regions=[r["region"] for r in doomed],
            reasons=[json.dumps(_reason(r["code"])) for r in doomed],
        )
        for r in doomed:
            extra = about(r["traceparent"], job_id=r["job_id"])
            log.warning("region ended job_id=%s region=%s code=%s", r["job_id"], r["region"], r["code"], extra=extra)
    return {_key(r) for r in doomed}


def _reason(code: str) -> dict[str, Any]:
    return {
        "code": code,
        "type": "system",
        "stage": "dispatch",
        "message": REASONS[code],
        "transient": False,
        "http_status": None,
        "provider": None,
    }


def _leading(conn: Connection[Any], work: int) -> bool:
    return bool(rows(conn, "sweep.lead", work=work)[0]["leading"])


def _key(r: Row) -> tuple[str, str]:
    return r["job_id"], r["region"]


@retried
def _open(db: Database) -> tuple[datetime, list[str]]:
    """The database's time, and the queues of what is open."""
    with db.transaction() as conn:
        now = rows(conn, "sweep.clock")[0]["now"]
        topics = [r["topic"] for r in rows(conn, "sweep.topics")]
    return now, topics
