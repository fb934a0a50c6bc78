"""Measures the size of the outbox under a steady stream of messages that are published and deleted in batches."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from bench import statements
from bench.testbed import Testbed
from outbox_publisher.relay import publish_batch
from outbox_publisher.retention import remove_old
from runner_core.db import Database
from runner_core.settings import Settings
from runner_queue.broker import Broker

PER_SECOND = 1000
PLAN = '{"US": ["m1"], "EU": ["m1"], "ASIA": ["m1"]}'  # a message for each region
JOBS = 40  # of a step
STEP_SECONDS = 3 * JOBS / PER_SECOND
REMOVAL_SECONDS = 1.0


@dataclass(frozen=True)
class Steady:
    """`per_second`: inserted rows per second; `passed`: published rows. Size of the outbox with its indexes: largest
    `most_mb`, at the middle of the run `middle_mb`, at its end `last_mb`."""

    per_second: float
    passed: int
    removed: int
    middle_mb: float
    most_mb: float
    last_mb: float


def run(testbed: Testbed, seconds: float) -> Steady:
    """Insert 1,000 rows a second; publish them in the publisher's batches and delete them each second, all at once.

    Retention is set to 0 days, so that a row is due as soon as it is pushed and its job has ended.
    """
    testbed.empty()
    settings = Settings.from_env(testbed.env, process="publisher")
    settings = replace(settings, outbox=replace(settings.outbox, retention_days=0))
    db, broker = Database(settings, "publisher").open(), Broker(settings)
    passed = removed = 0
    stopped = threading.Event()

    def publish() -> None:
        while not stopped.is_set():
            if publish_batch(db, broker) < settings.outbox.batch:
                stopped.wait(STEP_SECONDS / 10)  # as if the next step's notification had come

    sizes: list[float] = []
    with ThreadPoolExecutor(1) as threads:
        publishing = threads.submit(publish)
        try:
            began = due = time.monotonic()
            next_removal = began + REMOVAL_SECONDS
            while (now := time.monotonic()) - began < seconds and not publishing.done():
                first, testbed.jobs = testbed.jobs + 1, testbed.jobs + JOBS
                where = {"prefix": "bench-", "first": first, "last": testbed.jobs}
                testbed.run("submit", **where, plan=PLAN, questions="[]", key="benchmark", spec="{}")
                testbed.run("stage", **where)
                passed += 3 * JOBS
                if now >= next_removal:
                    next_removal = now + REMOVAL_SECONDS
                    testbed.run("ended")
                    removed += remove_old(db)
                    testbed.redis.flushdb()  # no worker takes the messages here
                    sizes.append(testbed.value(statements.for_psycopg("outbox_size")) / 2**20)
                due += STEP_SECONDS
                time.sleep(max(0.0, due - time.monotonic()))
            took = time.monotonic() - began
        finally:
            stopped.set()
            publishing.result()
            broker.close()
            db.close()
    return Steady(passed / took, passed, removed, sizes[len(sizes) // 2], max(sizes), sizes[-1])
