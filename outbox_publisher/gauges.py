"""Reads gauges from the database. Only publishers export them, so that other processes do not repeat the queries."""

import logging
from collections.abc import Callable
from typing import Any

import psycopg

from outbox_publisher.aside import may_be_of_a_row
from runner_core import telemetry
from runner_core.db import Database, retried
from runner_core.limits import MAX_COUNTED
from runner_core.queries import Row, rows
from runner_core.statuses import ALIVE_SECONDS, JOB_STATUSES, STUCK_SECONDS

log = logging.getLogger("publisher")


def refresh(db: Database, progressed: Callable[[], None] = lambda: None) -> None:
    """Read every gauge once. If a statement fails, its gauges keep their values, and the others are still read.

    `progressed` is called after each read, because each may be repeated for as long as the database comes and goes.
    """
    for read in (_outbox, _jobs, _late, _regions):
        try:
            read(db)
        except psycopg.Error as error:
            if not may_be_of_a_row(error):
                raise
            log.error("can't read the gauges of %s, they keep their last values: %s", read.__name__[1:], error)
        progressed()


def _outbox(db: Database) -> None:
    [outbox] = _read(db, "metrics.outbox", most=MAX_COUNTED)
    telemetry.OUTBOX_UNPUBLISHED.set(outbox["waiting"])
    telemetry.OUTBOX_OLDEST.set(outbox["oldest_seconds"])
    telemetry.OUTBOX_DEAD.set(outbox["dead"])


def _jobs(db: Database) -> None:
    counts = {r["status"]: r["jobs"] for r in _read(db, "metrics.jobs", most=MAX_COUNTED)}
    for status in JOB_STATUSES:
        telemetry.JOBS.labels(status).set(counts.get(status, 0))


def _late(db: Database) -> None:
    grace_seconds = db.settings.jobs.overdue_grace_seconds
    [late] = _read(db, "metrics.late", stuck_seconds=STUCK_SECONDS, grace_seconds=grace_seconds, most=MAX_COUNTED)
    telemetry.JOBS_STUCK.set(late["stuck"])
    telemetry.JOBS_OVERDUE.set(late["overdue"])


def _regions(db: Database) -> None:
    regions = _read(db, "metrics.regions", alive_seconds=ALIVE_SECONDS)
    _set_by_region(telemetry.REGION_QUEUE_DEPTH, regions, "depth")
    _set_by_region(telemetry.REGION_WORKERS, regions, "workers")


def _set_by_region(gauge: Any, regions: list[Row], column: str) -> None:
    gauge.clear()  # a region without waiting runs and workers has no row, and must lose its series
    for r in regions:
        gauge.labels(r["region"] or "").set(r[column])


@retried
def _read(db: Database, /, name: str, **params: float) -> list[Row]:
    with db.transaction(pipeline=False) as conn:
        return rows(conn, name, **params)
