"""Refuses a job with parameters while workers of an earlier release could claim the job and ignore its parameters."""

from runner_core.db import Database, retried
from runner_core.errors import Rejected
from runner_core.jobspec import Submission
from runner_core.queries import rows
from runner_core.statuses import ALIVE_SECONDS


def check_workers(db: Database, job: Submission) -> None:
    """Raise Rejected upgrade_in_progress if a live worker in a planned region ignores the job's parameters.

    A job without parameters asks the database nothing.
    """
    if job.parameters and (regions := _of_earlier_releases(db, list(job.plan))):
        raise Rejected(
            "upgrade_in_progress",
            f"Workers of an earlier release, which ignore a job's parameters, still serve {', '.join(regions)}. Submit "
            "the job again when newer workers have replaced them.",
        )


@retried
def _of_earlier_releases(db: Database, regions: list[str]) -> list[str]:
    with db.statement() as conn:
        found = rows(conn, "processes.of_earlier_releases", regions=regions, alive_seconds=ALIVE_SECONDS)
    return [row["region"] for row in found]
