"""Removes what has served its time, a batch per transaction, so that no delete holds a lock for long."""

from runner_core.db import Database, retried
from runner_core.queries import run

BATCH = 5000
NONCE_DAYS = 7  # as long as a key, whatever is set for messages: a nonce that goes first lets its job be replayed


def remove_old(db: Database) -> int:
    """Delete old sent messages, keys, nonces and silent processes; jobs only with JOB_RETENTION_DAYS. Returns rows."""
    settings = db.settings
    removed = _drain(db, "retention.outbox", days=settings.outbox_retention_days)
    removed += _drain(db, "retention.keys")
    removed += _drain(db, "retention.nonces", days=NONCE_DAYS)
    removed += _batch(db, "retention.processes")
    if settings.job_retention_days is not None:
        removed += _drain(db, "retention.jobs", days=settings.job_retention_days)
    return removed


def _drain(db: Database, name: str, **params: int) -> int:
    total = 0
    while count := _batch(db, name, batch=BATCH, **params):
        total += count
        if count < BATCH:
            break
    return total


@retried
def _batch(db: Database, /, name: str, **params: int) -> int:
    with db.transaction(pipeline=False) as conn:
        return run(conn, name, **params).rowcount
