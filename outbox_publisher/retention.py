"""Deletes old rows, one batch per transaction, so that no delete holds locks for long."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg.errors import QueryCanceled

from outbox_publisher.aside import Aside, Batch, may_be_of_a_row
from runner_core.db import Database, retried
from runner_core.queries import rows, run

log = logging.getLogger("publisher")
BATCH = 5000
JOBS_BATCH = 100  # small, because each job has rows in nine tables
PASS_SECONDS = 2.0  # time for one table in one pass; the next pass deletes the rest
NONCE_DAYS = 7  # as long as idempotency keys, and not configurable: without its nonce a job could be submitted again


class Removal(NamedTuple):
    """The two statements for a table, and the parameter by which the second one gets the rows of the first one."""

    due: str
    delete: str
    ids: str


OUTBOX = Removal("retention.outbox_due", "retention.outbox", "ids")
KEYS = Removal("retention.keys_due", "retention.keys", "keys")
NONCES = Removal("retention.nonces_due", "retention.nonces", "places")
JOBS = Removal("retention.jobs_due", "retention.jobs", "job_ids")
EMBEDDINGS = Removal("retention.embeddings_due", "retention.embeddings", "texts")
Asides = Mapping[Removal, Aside[Any]]


class TooSlow(Exception):
    """The batch is too large to be deleted within the statement timeout."""


def nothing_aside() -> Asides:
    """Return an empty set of rows that are set aside, for each table."""
    return {removal: Aside(removal.delete) for removal in (OUTBOX, KEYS, NONCES, JOBS, EMBEDDINGS)}


def remove_old(db: Database, asides: Asides | None = None) -> int:
    """Delete old pushed messages, keys, nonces and silent processes; with JOB_RETENTION_DAYS also jobs and embeddings.

    Return the number of deleted rows. If one table fails, the others are still done.
    """
    settings, asides = db.settings, asides or nothing_aside()
    removals: dict[str, Callable[[], int]] = {
        "messages": lambda: _drain(db, OUTBOX, asides, BATCH, days=settings.outbox.retention_days),
        "keys": lambda: _drain(db, KEYS, asides, BATCH),
        "nonces": lambda: _drain(db, NONCES, asides, BATCH, days=NONCE_DAYS),
        "processes": lambda: _remove_processes(db),
    }
    if (days := settings.jobs.retention_days) is not None:
        removals["jobs"] = lambda: _drain(db, JOBS, asides, JOBS_BATCH, days=days)
        removals["embeddings"] = lambda: _drain(db, EMBEDDINGS, asides, BATCH, days=days)
    removed = 0
    for what, remove in removals.items():
        try:
            removed += remove()
        except psycopg.Error as error:
            if not may_be_of_a_row(error):
                raise
            log.error("can't remove old %s before the next pass, other old rows are removed: %s", what, error)
    return removed


def _drain(db: Database, removal: Removal, asides: Asides, size: int, **days: int) -> int:
    """Delete batches until none is left or the table's time is over. A batch that takes too long is halved."""
    total, until = 0, time.monotonic() + PASS_SECONDS

    def remove(batch: Batch[Any]) -> int:
        nonlocal total
        try:
            removed = _remove(db, removal, batch, days)
        except QueryCanceled:
            if batch.size == 1:
                raise
            raise TooSlow from None
        total += removed
        return removed

    while True:
        try:
            handled = asides[removal].run(size, remove)
        except TooSlow:
            size //= 2
            continue
        if handled is None or handled < size or time.monotonic() >= until:
            return total


@retried
def _remove(db: Database, removal: Removal, batch: Batch[Any], days: dict[str, int]) -> int:
    """Lock the rows that are due, then delete them. Two statements, so that the rows of a failed delete are known."""
    batch.taken = []
    expected = () if batch.size == 1 else ("57014",)
    with db.transaction(pipeline=False, expected=expected) as conn:
        due = rows(conn, removal.due, batch=batch.size, left_out=batch.left_out, **days)
        batch.taken = [found["id"] for found in due]
        return run(conn, removal.delete, **{removal.ids: batch.taken}).rowcount if due else 0


@retried
def _remove_processes(db: Database) -> int:
    with db.transaction(pipeline=False) as conn:
        return run(conn, "retention.processes").rowcount
