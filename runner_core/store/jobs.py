"""The jobs' statements: submission, cancellation, retry, and what a repeated request is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg import Connection

from runner_core.jobspec import Submission
from runner_core.limits import MAX_COUNTED
from runner_core.queries import Row, row, rows, run

# As long as the nonces: a client that repeats itself later than that gets a conflict and no second job.
KEY_DAYS = 7


@dataclass(frozen=True)
class Entry:
    """A job to insert, and who sent it. `key` is the stored form of an idempotency key."""

    job: Submission
    key: str
    actor: str
    request_id: str
    traceparent: str


def submit(
    conn: Connection[Any], entries: Sequence[Entry], *, queue_timeout_seconds: int, notify: bool = True
) -> dict[str, Row]:
    """Insert jobs of different ids, each with its key, nonce, first event and messages, and `notify` the publishers.

    Returns id, cross_region_execution_id, created_at by job id, without those whose id exists. Raises psycopg's
    UniqueViolation when a key or a nonce is another job's (then nothing was kept), LockNotAvailable when a transaction
    that holds one of them takes too long, and ProgramLimitExceeded when the server's queue of notifications is full.
    """
    inserted = rows(
        conn,
        "jobs.submit",
        jobs=_json([_columns(entry) for entry in entries]),
        queue_timeout_seconds=queue_timeout_seconds,
        key_days=KEY_DAYS,
        notify=notify,
        # For the audit alone.
        job_ids=[entry.job.job_id for entry in entries],
        regions=[region for entry in entries for region in entry.job.plan],
    )
    return {row["id"]: row for row in inserted}


def repeats(conn: Connection[Any], entries: Sequence[Entry]) -> set[str]:
    """The ids of the jobs whose key or nonce was used before."""
    found = rows(
        conn,
        "jobs.repeats",
        job_ids=[entry.job.job_id for entry in entries],
        keys=[entry.key for entry in entries],
        public_keys=[entry.job.public_key for entry in entries],
        nonces=[entry.job.nonce for entry in entries],
    )
    return {row["id"] for row in found}


def _columns(entry: Entry) -> dict[str, Any]:
    """What `jobs.submit` reads of a job."""
    job = entry.job
    return {
        "id": job.job_id,
        "plan": job.plan,
        "questions": job.questions,
        "runs": job.runs,
        "min_regions": job.min_regions,
        "min_success_rate": str(job.min_success_rate),
        "timeout_seconds": job.timeout_seconds,
        "provider_timeout_seconds": job.provider_timeout_seconds,
        "enable_analysis": job.enable_analysis,
        "request_id": entry.request_id,
        "traceparent": entry.traceparent,
        "public_key": job.public_key,
        "signature_form": job.signature_form,
        "digest": _bytea(job.digest),
        "spec": job.spec,
        "spec_raw": _bytea(job.spec_raw),
        "key": entry.key,
        "nonce": job.nonce,
        "actor": entry.actor,
        # The plan's order, which its own column does not keep.
        "regions": [{"region": region, "units": len(models)} for region, models in job.plan.items()],
    }


def nonce_owner(conn: Connection[Any], public_key: str, nonce: str) -> str | None:
    """The job for which a nonce was spent."""
    found = row(conn, "nonces.find", public_key=public_key, nonce=nonce)
    return found["job_id"] if found else None


def spend_nonce(conn: Connection[Any], public_key: str, nonce: str, job_id: str) -> bool:
    """Use a nonce; False when it was used before."""
    return row(conn, "nonces.spend", public_key=public_key, nonce=nonce, job_id=job_id) is not None


def lock(conn: Connection[Any], job_id: str) -> Row | None:
    """Lock one job and read what cancel and retry decide on; None for an unknown one."""
    run(conn, "jobs.lock", job_ids=[job_id])
    return row(conn, "jobs.state", job_id=job_id)


def cancel_units(conn: Connection[Any], job_id: str, reason: dict[str, Any]) -> int:
    """Give every unit without a result a cancelled one; returns how many."""
    found = row(conn, "jobs.cancel_units", job_id=job_id, reason=_json(reason))
    return int(found["cancelled"]) if found else 0


def close(conn: Connection[Any], job_id: str) -> list[Row]:
    """Write the status that the job must have now; returns the job if that was a change."""
    return rows(conn, "jobs.close", job_ids=[job_id])


def reopen_units(
    conn: Connection[Any],
    job_id: str,
    *,
    region: str | None,
    model_id: str | None,
    question_id: str | None,
    more_attempts: int,
) -> list[Row]:
    """Remove the failed units of finished regions; returns region, model_id and each earlier result."""
    return rows(
        conn,
        "jobs.reopen_units",
        job_id=job_id,
        region=region,
        model_id=model_id,
        question_id=question_id,
        more_attempts=more_attempts,
    )


def reopen(
    conn: Connection[Any], job_id: str, *, actor: str, detail: dict[str, Any], queue_timeout_seconds: int
) -> None:
    """Set the job running again; `detail` goes into the event."""
    run(
        conn,
        "jobs.reopen",
        job_id=job_id,
        actor=actor,
        detail=_json(detail),
        queue_timeout_seconds=queue_timeout_seconds,
    )


def listed(
    conn: Connection[Any], status: str | None, before: tuple[str, str], page: int, *, progress: bool = False
) -> list[Row]:
    """Return the next jobs before (created_at as text, id), newest first; `units` is their progress, or None."""
    wanted = {"before": before[0], "before_id": before[1], "page": page, "progress": progress}
    if status is None:
        return rows(conn, "reads.jobs", **wanted)
    return rows(conn, "reads.jobs_by_status", status=status, **wanted)


def late(conn: Connection[Any], grace_seconds: float, page: int) -> list[Row]:
    """Return a page of jobs that wait too long or run past their deadline by more than the grace, oldest first."""
    found = rows(conn, "reads.stuck", page=page)
    found += rows(conn, "reads.overdue", grace_seconds=grace_seconds, most=MAX_COUNTED, page=page)
    return sorted(found, key=lambda job: job["created_at"])[:page]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _bytea(value: bytes) -> str:
    """PostgreSQL's hex format (manual, 8.4.1)."""
    return f"\\x{value.hex()}"
