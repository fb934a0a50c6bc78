"""Refuses to ask for a job with parameters while workers of an earlier release could claim it and ignore them."""

from collections.abc import Iterable
from typing import Any

from psycopg import Connection

from runner_core.db import Database, retried
from runner_core.errors import Rejected
from runner_core.jobspec import Submission
from runner_core.queries import rows
from runner_core.statuses import ALIVE_SECONDS


def check_workers(db: Database, job: Submission) -> None:
    """Raise Rejected upgrade_in_progress if a live worker in a planned region ignores the job's parameters.

    A job without parameters asks the database nothing.
    """
    if job.parameters:
        _check_by_itself(db, job.plan)


@retried
def _check_by_itself(db: Database, regions: Iterable[str]) -> None:
    with db.statement() as conn:
        check_regions(conn, regions)


def check_regions(conn: Connection[Any], regions: Iterable[str]) -> None:
    """Raise Rejected upgrade_in_progress if a live worker in one of the regions ignores parameters."""
    found = rows(conn, "processes.of_earlier_releases", regions=sorted(regions), alive_seconds=ALIVE_SECONDS)
    if found:
        raise Rejected(
            "upgrade_in_progress",
            "Workers of an earlier release, which ignore a job's parameters, still serve "
            f"{', '.join(row['region'] for row in found)}. Send the request again when they are replaced.",
        )
