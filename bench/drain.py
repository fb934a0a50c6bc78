"""Outbox rows per second: the publisher's loop with its own push, and the same loop through RQ's enqueue_many."""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rq import Queue
from rq.serializers import JSONSerializer

from bench.testbed import Testbed
from outbox_publisher.relay import publish_batch
from runner_core.db import Database
from runner_core.settings import Settings
from runner_queue.broker import Broker
from runner_queue.message import FUNCTION
from runner_queue.push import OutboxRow


class EnqueueMany(Broker):
    """The publisher's broker, but pushing by RQ's enqueue_many."""

    def push(self, rows: Sequence[OutboxRow]) -> dict[int, Exception]:
        topics: defaultdict[str, list[Any]] = defaultdict(list)
        for row in rows:
            topics[row.topic].append(
                Queue.prepare_data(
                    FUNCTION,
                    kwargs=row.payload,
                    job_id=row.dispatch_id,
                    timeout=-1,
                    result_ttl=300,
                    failure_ttl=86_400,
                )
            )
        with self.redis.pipeline(transaction=False) as pipe:
            for topic, jobs in topics.items():
                queue = Queue(topic, connection=self.redis, serializer=JSONSerializer)
                queue.enqueue_many(jobs, pipeline=pipe)
            pipe.execute()
        return {}


def run(testbed: Testbed, kind: type[Broker], rows: int, batch: int = 100) -> float:
    """Publish `rows` waiting rows, `batch` at a time; return rows per second."""
    testbed.empty()
    testbed.submit(rows, staged=True)
    settings = Settings.from_env({**testbed.env, "OUTBOX_BATCH": str(batch)}, process="publisher")
    db, broker = Database(settings, "publisher").open(), kind(settings)
    try:
        publish_batch(db, broker)  # connects, prepares
        began, drained = time.monotonic(), 0
        while claimed := publish_batch(db, broker):
            drained += claimed
        return drained / (time.monotonic() - began)
    finally:
        broker.close()
        db.close()
