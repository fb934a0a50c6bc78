"""The gauges that are read from the database. Only publishers export them, so that they are counted once a process."""

from typing import Any

from runner_core import telemetry
from runner_core.db import Database, retried
from runner_core.queries import Row, rows
from runner_core.store.reads import ALIVE_SECONDS, COUNTED

JOB_STATUSES = ("queued", "running", "completed", "failed", "cancelled")


def refresh(db: Database) -> None:
    """Read every gauge once."""
    outbox, jobs, late, regions = _read(db)
    telemetry.OUTBOX_UNPUBLISHED.set(outbox["waiting"])
    telemetry.OUTBOX_OLDEST.set(outbox["oldest"])
    telemetry.OUTBOX_DEAD.set(outbox["dead"])
    counts = {r["status"]: r["jobs"] for r in jobs}
    for status in JOB_STATUSES:
        telemetry.JOBS.labels(status).set(counts.get(status, 0))
    telemetry.JOBS_STUCK.set(late["stuck"])
    telemetry.JOBS_OVERDUE.set(late["overdue"])
    _set_by_region(telemetry.REGION_QUEUE_DEPTH, regions, "depth")
    _set_by_region(telemetry.REGION_WORKERS, regions, "workers")


def _set_by_region(gauge: Any, regions: list[Row], column: str) -> None:
    gauge.clear()  # a region without queue and workers has no row
    for r in regions:
        gauge.labels(r["region"] or "").set(r[column])


@retried
def _read(db: Database) -> tuple[Row, list[Row], Row, list[Row]]:
    with db.transaction(pipeline=False) as conn:
        return (
            rows(conn, "metrics.outbox", most=COUNTED)[0],
            rows(conn, "metrics.jobs", most=COUNTED),
            rows(conn, "metrics.late", grace_seconds=3 * db.settings.lease_seconds, most=COUNTED)[0],
            rows(conn, "metrics.regions", alive_seconds=ALIVE_SECONDS),
        )
