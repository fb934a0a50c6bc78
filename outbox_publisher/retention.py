"""Removes what has served its time, a batch per transaction, so that no delete holds a lock for long."""

import time

from psycopg.errors import QueryCanceled

from runner_core.db import Database, retried
from runner_core.queries import run

BATCH = 5000
JOBS_BATCH = 100  # a job takes the rows of six tables along
PASS_SECONDS = 2.0  # of one table in one pass; what is left has time until the next
NONCE_DAYS = 7  # as long as a key, whatever is set for messages: a nonce that goes first lets its job be replayed


def remove_old(db: Database) -> int:
    """Delete old sent messages, keys, nonces and silent processes; jobs only with JOB_RETENTION_DAYS. Returns rows."""
    settings = db.settings
    removed = _drain(db, "retention.outbox", BATCH, days=settings.outbox_retention_days)
    removed += _drain(db, "retention.keys", BATCH)
    removed += _drain(db, "retention.nonces", BATCH, days=NONCE_DAYS)
    removed += _batch(db, "retention.processes")
    if settings.job_retention_days is not None:
        removed += _drain(db, "retention.jobs", JOBS_BATCH, days=settings.job_retention_days)
    return removed


def _drain(db: Database, name: str, batch: int, **params: int) -> int:
    """Remove until nothing is left or the table has had its time. A batch that takes too long is tried by halves."""
    total, until = 0, time.monotonic() + PASS_SECONDS
    while True:
        try:
            count = _batch(db, name, batch=batch, **params)
        except QueryCanceled:
            if batch == 1:
                raise
            batch //= 2
            continue
        total += count
        if count < batch or time.monotonic() >= until:
            return total


@retried
def _batch(db: Database, /, name: str, **params: int) -> int:
    with db.transaction(pipeline=False, expected=("57014",)) as conn:
        return run(conn, name, **params).rowcount
