"""Transaction B: claim outbox rows, push them, mark them."""

import logging
import uuid

from outbox_publisher.aside import Aside, Batch
from runner_core import queries
from runner_core.db import Database, retried
from runner_core.failpoints import failpoint
from runner_core.store import outbox
from runner_core.telemetry import OUTBOX_PUBLISH_ERRORS, OUTBOX_PUBLISHED, about
from runner_queue.broker import Broker
from runner_queue.push import OutboxRow

log = logging.getLogger("publisher")


def publish_batch(db: Database, broker: Broker, aside: Aside[int] | None = None) -> int:
    """Publish up to OUTBOX_BATCH waiting rows; returns how many were claimed.

    A row that can't be pushed backs off alone; one that the database does not let us mark is set aside. A Redis that
    can't be reached fails nobody's row: the transaction rolls back and redis.exceptions.ConnectionError or TimeoutError
    is raised. A crash between push and commit publishes the rows once more, under new dispatch ids, which the claim
    makes harmless.
    """
    return (aside or Aside("publish")).run(db.settings.outbox.batch, lambda batch: _publish(db, broker, batch)) or 0


@retried
def _publish(db: Database, broker: Broker, batch: Batch[int]) -> int:
    settings = db.settings
    with db.transaction() as conn:
        claimed = queries.rows(conn, "outbox.claim", batch=batch.size, left_out=list(batch.left_out))
        batch.taken = [row["id"] for row in claimed]
        rows = [
            OutboxRow(row["id"], row["topic"], row["payload"], uuid.uuid4().hex, row["attempts"]) for row in claimed
        ]
        if not rows:
            return 0
        failures = broker.push(rows)
        failpoint("publisher.pushed")
        pushed = [(row.id, row.dispatch_id) for row in rows if row.id not in failures]
        if pushed:
            outbox.mark(conn, pushed)
        if failures:
            buried = outbox.fail(
                conn,
                [(row_id, str(error)[:500]) for row_id, error in failures.items()],
                max_attempts=settings.outbox.max_attempts,
                dead_after_seconds=settings.outbox.dead_after_seconds,
            )
            for row in buried:
                log.warning(
                    "outbox row failed job_id=%s id=%d attempts=%d dead=%s",
                    *(row["job_id"], row["id"], row["attempts"], bool(row["dead_at"])),
                    extra=about(row["traceparent"], job_id=row["job_id"]),
                )
    for row, sent in zip(claimed, rows, strict=True):
        if sent.id not in failures:
            ids = (row["job_id"], sent.topic, sent.dispatch_id)
            extra = about(row["traceparent"], job_id=row["job_id"])
            log.info("published job_id=%s topic=%s dispatch_id=%s", *ids, extra=extra)
    OUTBOX_PUBLISHED.inc(len(pushed))
    OUTBOX_PUBLISH_ERRORS.inc(len(failures))
    return len(rows)
