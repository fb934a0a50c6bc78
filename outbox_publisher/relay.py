"""Transaction B: claim outbox rows, push them, mark them."""

import uuid
from typing import Any

from psycopg import Connection

from outbox_publisher.aside import Aside, Batch
from outbox_publisher.reports import Published
from runner_core.db import Database, retried
from runner_core.failpoints import failpoint
from runner_core.queries import Row, rows
from runner_core.store import outbox
from runner_queue.broker import Broker
from runner_queue.push import OutboxRow


def publish_batch(db: Database, broker: Broker, aside: Aside[int] | None = None) -> int:
    """Publish up to OUTBOX_BATCH waiting rows; return the number of claimed rows.

    A row that can't be pushed is postponed alone; a row that can't be marked in the database is set aside. If Redis
    can't be reached, no row is at fault: the transaction rolls back, and redis.exceptions.ConnectionError or
    TimeoutError is raised. After a crash between push and commit the rows are pushed again under new dispatch ids; this
    is harmless, because a region is claimed only once.
    """

    def publish(batch: Batch[int]) -> int:
        published = _publish(db, broker, batch)
        published.report()
        return published.claimed

    return (aside or Aside("publish")).run(db.settings.outbox.batch, publish) or 0


@retried
def _publish(db: Database, broker: Broker, batch: Batch[int]) -> Published:
    with db.transaction() as conn:
        claimed = rows(conn, "outbox.claim", batch=batch.size, left_out=list(batch.left_out))
        batch.taken = [row["id"] for row in claimed]
        if not claimed:
            return Published()
        messages = [OutboxRow(r["id"], r["topic"], r["payload"], uuid.uuid4().hex, r["attempts"]) for r in claimed]
        failures = broker.push(messages)
        failpoint("publisher.pushed")
        pairs = zip(claimed, messages, strict=True)
        sent = [(row, message.dispatch_id) for row, message in pairs if message.id not in failures]
        if sent:
            outbox.mark(conn, [(row["id"], dispatch_id) for row, dispatch_id in sent])
        failed = _fail(conn, db, failures) if failures else []
    return Published(sent, failed)


def _fail(conn: Connection[Any], db: Database, failures: dict[int, Exception]) -> list[Row]:
    """Postpone the rows, or mark them as dead after their last attempt; return them with their attempts."""
    return outbox.fail(
        conn,
        [(row_id, str(error)[:500]) for row_id, error in failures.items()],
        max_attempts=db.settings.outbox.max_attempts,
        dead_after_seconds=db.settings.outbox.dead_after_seconds,
    )
