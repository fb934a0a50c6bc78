"""The outbox under a steady stream of messages, published and removed in batches: how large does it get?"""

import time
from dataclasses import dataclass, replace

from bench import statements
from bench.ground import Ground
from outbox_publisher.broker import Broker
from outbox_publisher.relay import publish_batch
from outbox_publisher.retention import remove_old
from runner_core.db import Database
from runner_core.settings import Settings

PER_SECOND = 1000
PLAN = '{"US": ["m1"], "EU": ["m1"], "ASIA": ["m1"]}'  # a message for each region
JOBS = 40  # of a step
STEP_SECONDS = 3 * JOBS / PER_SECOND


@dataclass(frozen=True)
class Steady:
    """`per_second` rows went in, `passed` in all; the outbox with its indexes had at most `most_mb`, at the end
    `last_mb`, and at the middle of the run `middle_mb`."""

    per_second: float
    passed: int
    removed: int
    middle_mb: float
    most_mb: float
    last_mb: float


def run(ground: Ground, seconds: float) -> Steady:
    """Rows come at 1,000 a second, are published in the publisher's batches, and are removed every second.

    Retention counts in days, so here it is set to none: every row is old once it is sent and its job has ended.
    """
    ground.empty()
    settings = replace(Settings.from_env(ground.env, process="publisher"), outbox_retention_days=0)
    db, broker = Database(settings, "publisher").open(), Broker(settings)
    sizes: list[float] = []
    passed = removed = 0
    began = time.monotonic()
    due = next_removal = began
    try:
        while (now := time.monotonic()) - began < seconds:
            first, ground.jobs = ground.jobs + 1, ground.jobs + JOBS
            where = {"prefix": "bench-", "first": first, "last": ground.jobs}
            ground.run("submit", **where, plan=PLAN, questions="[]", key="benchmark", spec="{}")
            ground.run("stage", **where)
            passed += 3 * JOBS
            while publish_batch(db, broker) == settings.outbox_batch:
                pass
            if now >= next_removal:
                next_removal = now + 1.0
                ground.run("ended")
                removed += remove_old(db)
                ground.redis.flushdb()  # nobody takes the messages here
                sizes.append(ground.value(statements.for_psycopg("outbox_size")) / 2**20)
            due += STEP_SECONDS
            time.sleep(max(0.0, due - time.monotonic()))
        took = time.monotonic() - began
    finally:
        broker.close()
        db.close()
    return Steady(passed / took, passed, removed, sizes[len(sizes) // 2], max(sizes), sizes[-1])
