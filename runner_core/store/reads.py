"""What clients and operators read. Nothing here writes."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from psycopg import Connection

from runner_core.queries import Row, row, rows
from runner_core.statuses import ALIVE_SECONDS

COUNTED = 10_000  # of a backlog; beyond it a page says "10,000+". The view region_queues has the same number


def job(conn: Connection[Any], job_id: str) -> Row | None:
    """One job with its cross-region view and its progress."""
    return row(conn, "reads.job", job_id=job_id)


def version(conn: Connection[Any], job_id: str) -> Row | None:
    """id, status and version of a job."""
    return row(conn, "reads.version", job_id=job_id)


def watched(conn: Connection[Any], job_ids: Iterable[str]) -> list[Row]:
    """id, status, version and calls_done of each job that there is."""
    return rows(conn, "reads.watched", job_ids=list(job_ids))


def jobs(
    conn: Connection[Any], status: str | None, before: tuple[str, str], page: int, *, progress: bool = False
) -> list[Row]:
    """The next jobs before (created_at as text, id), newest first; `units` is their progress, or None."""
    wanted = {"before": before[0], "before_id": before[1], "page": page, "progress": progress}
    if status is None:
        return rows(conn, "reads.jobs", **wanted)
    return rows(conn, "reads.jobs_by_status", status=status, **wanted)


def job_rows(conn: Connection[Any], job_id: str) -> list[Row]:
    """Every planned call of a job with what became of it; none for an unknown job."""
    return rows(conn, "reads.rows", job_id=job_id)


def executions(conn: Connection[Any], before: tuple[str, int], page: int, skip: int) -> list[Row]:
    """The next executions of every job before (created_at as text, id), newest first, after skipping some."""
    return rows(conn, "reads.executions", before=before[0], before_id=before[1], page=page, skip=skip)


def execution(conn: Connection[Any], result_id: int) -> Row | None:
    """The execution, or the call still running, that an id of executions or answers names."""
    return row(conn, "reads.execution", result_id=result_id) or row(conn, "reads.answer", result_id=result_id)


def answers(conn: Connection[Any], job_id: str, region: str, model_id: str) -> list[Row]:
    """Every call of one unit."""
    return rows(conn, "reads.answers", job_id=job_id, region=region, model_id=model_id)


def cross_region(conn: Connection[Any], cross_region_id: UUID | None, job_id: str) -> Row | None:
    """The cross-region view of a job, by its uuid or by the job's id."""
    return row(conn, "reads.cross_region", cross_region_id=cross_region_id, job_id=job_id)


def region_results(conn: Connection[Any], job_id: str) -> list[Row]:
    """One row for each planned region."""
    return rows(conn, "reads.region_results", job_id=job_id)


def summary(conn: Connection[Any], job_id: str) -> Row:
    """completed_units, failed_units, refused_answers, answers."""
    return rows(conn, "reads.summary", job_id=job_id)[0]


def events(conn: Connection[Any], job_id: str, after: int, page: int) -> list[Row]:
    """A job's timeline after a seq."""
    return rows(conn, "reads.events", job_id=job_id, after=after, page=page)


def processes(conn: Connection[Any]) -> list[Row]:
    """Every process seen lately."""
    return rows(conn, "reads.processes", alive_seconds=ALIVE_SECONDS)


def alive(conn: Connection[Any]) -> list[Row]:
    """How many live processes there are of each kind and region."""
    return rows(conn, "reads.alive", alive_seconds=ALIVE_SECONDS)


def queues(conn: Connection[Any]) -> list[Row]:
    """Waiting (at most COUNTED) and running region runs of each region with open jobs."""
    return rows(conn, "reads.queues")


def outbox(conn: Connection[Any], page: int) -> list[Row]:
    """The oldest waiting messages."""
    return rows(conn, "reads.outbox", page=page)


def outbox_counts(conn: Connection[Any]) -> Row:
    """waiting and dead, each at most COUNTED, and oldest_seconds."""
    return rows(conn, "reads.outbox_counts", most=COUNTED)[0]


def dead(conn: Connection[Any], page: int) -> list[Row]:
    """Messages that could not be delivered."""
    return rows(conn, "reads.dead", page=page)


def stuck(conn: Connection[Any], grace_seconds: float, page: int) -> list[Row]:
    """A page of jobs that wait too long or run past their deadline by more than the grace, oldest first."""
    late = rows(conn, "reads.stuck", page=page)
    late += rows(conn, "reads.overdue", grace_seconds=grace_seconds, most=COUNTED, page=page)
    return sorted(late, key=lambda job: job["created_at"])[:page]


def open_regions(conn: Connection[Any], job_id: str) -> list[Row]:
    """The planned regions that have not ended: region, leased."""
    return rows(conn, "reads.open_regions", job_id=job_id)


def outbox_row(conn: Connection[Any], outbox_id: int) -> Row | None:
    """One message: id, job_id, topic, processed_at, dead_at."""
    return row(conn, "reads.outbox_row", outbox_id=outbox_id)
