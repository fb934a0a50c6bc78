"""Decides when each pass of the sweep is due, and repeats a pass that Redis or PostgreSQL made fail."""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg
from redis.exceptions import RedisError, ResponseError

from outbox_publisher.aside import Aside, may_be_of_a_row
from outbox_publisher.sweep import check_page, take_back
from runner_core.db import Database, retried
from runner_core.queries import rows
from runner_queue.broker import Broker
from runner_queue.connection import text_of
from runner_queue.refusals import refusal_of

log = logging.getLogger("sweeper")


class Sweeper:
    """Runs the passes of the sweep when they are due. A thread of the publisher calls `run_once` every second.

    `progressed` is called after each transaction and each answer of Redis, because a pass may have many.
    `redis_answers`: whether the last pass could ask Redis.
    """

    def __init__(self, db: Database, broker: Broker, progressed: Callable[[], None] = lambda: None) -> None:
        self.db = db
        self.broker = broker
        self.lease = timedelta(seconds=db.settings.jobs.lease_seconds)
        self._suspicious = 0  # how many of the next complete passes must check all messages, also recent ones
        self.next_check = 0.0
        self.redis_answers = True
        self._progressed = progressed
        self._leases_aside, self._messages_aside = (Aside[str](work, progressed) for work in ("leases", "messages"))

    def run_once(self) -> int:
        """Clear expired leases and, if due, look for lost messages. Return the number of regions staged or ended."""
        return self._take_back_all() + self._check_messages()

    def _take_back_all(self) -> int:
        moved = 0
        try:
            while count := take_back(self.db, self._leases_aside):
                moved += count
                self._progressed()
        except psycopg.Error as error:
            if not may_be_of_a_row(error):
                raise
            log.error("can't take back expired leases, the sweep still looks for lost messages: %s", error)
        return moved

    def _check_messages(self) -> int:
        """Check whether Redis has the messages of the open regions. If Redis may have lost messages, check all of them,
        also recent ones.

        A pass that fails stays due. After a loss, a second pass checks the jobs whose rows were locked during the
        first.
        """
        try:
            if self.broker.sentinel_changed():
                log.warning("Redis is new or was emptied: checking every open region")
                self._suspicious = 2
            self.redis_answers = True
            self._progressed()
            if not self._suspicious and time.monotonic() < self.next_check:
                return 0
            # Recent messages are skipped, because a worker may just be claiming them. Age plus period are less than
            # three leases.
            moved, complete = self._check_all(timedelta(0) if self._suspicious else 2 * self.lease)
        except RedisError as error:
            log.warning("Redis can't be asked for its messages: %s", error)
            self.redis_answers = False
            self.next_check = 0.0
            return 0
        if complete:
            self._suspicious = max(0, self._suspicious - 1)
            self.next_check = time.monotonic() + self.lease.total_seconds()
        return moved

    def _check_all(self, age: timedelta) -> tuple[int, bool]:
        """Check all pages of open jobs. Return the number of regions moved, and whether this process still leads."""
        now, topics = _open(self.db)
        self._progressed()
        # Read after the clock, so that every message that was pushed before `now` is in a queue, was taken, or is lost;
        # and before any job is locked, so that no lock waits for Redis.
        known = {topic: ids for topic in topics if (ids := self._queued_ids(topic)) is not None}

        def is_queued(topic: str, dispatch_id: str) -> bool:
            return topic not in known or dispatch_id in known[topic]  # the next pass reads a new queue

        moved, after = 0, ""
        while True:
            page = check_page(self.db, after, now - age, is_queued, self._messages_aside)
            if page is None:
                return moved, False
            self._progressed()
            last, count = page
            moved += count
            if last is None:
                return moved, True
            after = last

    def _queued_ids(self, topic: str) -> set[str] | None:
        """Return the ids in a queue; None if the key is no list, so that the other queues are still read."""
        try:
            ids = self.broker.queued_ids(topic)
            self._progressed()
            return ids
        except ResponseError as error:
            if refusal_of(text_of(error)).concerns != "row":
                raise
            log.error("rq:queue:%s is not a list, so messages lost from this queue can't be found: %s", topic, error)
            return None


@retried
def _open(db: Database) -> tuple[datetime, list[str]]:
    """Return the database's time, and the queues of the open jobs' regions."""
    with db.transaction() as conn:
        now = rows(conn, "sweep.clock")[0]["now"]
        topics = [r["topic"] for r in rows(conn, "sweep.topics")]
    return now, topics
