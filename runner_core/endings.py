"""The last step of record, sweep and cancel: closes finished regions, then finished jobs, and reports both."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from runner_core.queries import Row, run
from runner_core.telemetry import JOBS_PROCESSED, about, series

log = logging.getLogger("runner")


@dataclass(frozen=True)
class Endings:
    """The regions and jobs that one transaction ended. Call `report` only after the commit."""

    regions: list[Row]
    jobs: list[Row]

    def report(self) -> None:
        """Log and count each ended region and job."""
        for region in self.regions:
            log.info(
                "region finished job_id=%s region=%s status=%s completed=%d failed=%d attempt=%d elapsed_ms=%d",
                region["job_id"],
                region["region"],
                "success" if region["completed"] else "failed",
                region["completed"],
                region["units"] - region["completed"],
                region["attempt"],
                _elapsed_ms(region["started_at"]),
                extra=about(region["traceparent"], job_id=region["job_id"]),
            )
        for job in self.jobs:
            if job["status"] == "running":
                continue
            series(JOBS_PROCESSED, job["status"]).inc()
            log.info(
                "Cross-region execution completed status=%s success_count=%d total_regions=%d job_id=%s",
                job["status"],
                job["succeeded"],
                job["planned"],
                job["job_id"],
                extra=about(job["traceparent"], job_id=job["job_id"]),
            )


def close(conn: Connection[Any], job_ids: list[str]) -> Endings:
    """Close the regions and jobs in which no result is missing. The caller holds the jobs' row locks."""
    return closing(conn, job_ids)()


def closing(conn: Connection[Any], job_ids: list[str]) -> Callable[[], Endings]:
    """Send the statements of `close`; return a function that reads their results, also after the commit."""
    regions = run(conn, "region_runs.close", job_ids=job_ids)
    jobs = run(conn, "jobs.close", job_ids=job_ids)
    return lambda: Endings(regions.fetchall(), jobs.fetchall())


def _elapsed_ms(started_at: datetime | None) -> int:
    return int((datetime.now(UTC) - started_at).total_seconds() * 1000) if started_at else 0
