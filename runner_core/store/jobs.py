"""Calls the statements of jobs.sql: submission, cancellation, retry, and the look-up for a repeated request."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg import Connection

from runner_core.jobspec import Submission
from runner_core.limits import MAX_COUNTED
from runner_core.queries import Row, row, rows, run
from runner_core.statuses import STUCK_SECONDS

# Idempotency keys live as long as nonces. A client that repeats a request later gets a conflict, not a second job.
KEY_DAYS = 7


@dataclass(frozen=True)
class Entry:
    """A job to insert, and its submitter. `key` is the stored form of the idempotency key."""

    job: Submission
    key: str
    actor: str
    request_id: str
    traceparent: str


def submit(
    conn: Connection[Any], entries: Sequence[Entry], *, queue_timeout_seconds: int, notify: bool = True
) -> dict[str, Row]:
    """Insert jobs of different ids, each with its key, nonce, first event and messages, and `notify` the publishers.

    Returns id, cross_region_execution_id and created_at by job id; jobs whose id exists are left out. Raises psycopg's
    UniqueViolation if a key or a nonce belongs to another job (then no job is inserted), LockNotAvailable if another
    transaction holds one of them for too long, and ProgramLimitExceeded if the server's notification queue is full.
    """
    inserted = rows(
        conn,
        "jobs.submit",
        jobs=_json([_columns(entry) for entry in entries]),
        queue_timeout_seconds=queue_timeout_seconds,
        key_days=KEY_DAYS,
        notify=notify,
        # Used only by the audit log.
        job_ids=[entry.job.job_id for entry in entries],
        regions=[region for entry in entries for region in entry.job.plan],
    )
    return {row["id"]: row for row in inserted}


def repeats(conn: Connection[Any], entries: Sequence[Entry]) -> set[str]:
    """Return the ids of the jobs whose key or nonce was used before."""
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
    """Return the values of one job for the statement jobs.submit."""
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
        "parameters": job.parameters,
        "analysis": job.analysis,
        "name": job.name,
        "key": entry.key,
        "nonce": job.nonce,
        "actor": entry.actor,
        # The regions in the plan's order: the jsonb column `plan` does not keep it.
        "regions": [{"region": region, "units": len(models)} for region, models in job.plan.items()],
    }


def nonce_owner(conn: Connection[Any], public_key: str, nonce: str) -> str | None:
    """Return the job for which a nonce was used."""
    found = row(conn, "nonces.find", public_key=public_key, nonce=nonce)
    return found["job_id"] if found else None


def spend_nonce(conn: Connection[Any], public_key: str, nonce: str, job_id: str) -> bool:
    """Store a nonce as used. Return False if it was used before."""
    return row(conn, "nonces.spend", public_key=public_key, nonce=nonce, job_id=job_id) is not None


def lock(conn: Connection[Any], job_id: str) -> Row | None:
    """Lock one job and return its state for cancel and retry; None for an unknown job."""
    run(conn, "jobs.lock", job_ids=[job_id])
    return row(conn, "jobs.state", job_id=job_id)


def cancel_units(conn: Connection[Any], job_id: str, reason: dict[str, Any]) -> int:
    """Insert a cancelled execution for every unit without one; return their number."""
    found = row(conn, "jobs.cancel_units", job_id=job_id, reason=_json(reason))
    return int(found["cancelled"]) if found else 0


def close(conn: Connection[Any], job_id: str) -> list[Row]:
    """Set the job's status from its regions and executions; return the job if the status changed."""
    return rows(conn, "jobs.close", job_ids=[job_id])


def reopen_units(
    conn: Connection[Any],
    job_id: str,
    *,
    region: str | None,
    model_id: str | None,
    question_id: str | None,
    units: Iterable[tuple[str, str]] | None,
    more_attempts: int,
) -> list[Row]:
    """Delete the failed units' executions in finished regions; return region, model_id and the deleted execution.

    `units`: only these, as (region, model).
    """
    named = None if units is None else [{"region": place, "model_id": model} for place, model in units]
    return rows(
        conn,
        "jobs.reopen_units",
        job_id=job_id,
        region=region,
        model_id=model_id,
        question_id=question_id,
        units=None if named is None else json.dumps(named),
        more_attempts=more_attempts,
    )


def reopen(
    conn: Connection[Any], job_id: str, *, actor: str, detail: dict[str, Any], queue_timeout_seconds: int
) -> None:
    """Set the job to running for a retry; `detail` is stored in the event."""
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
    """Return a page of jobs older than (created_at as text, id), newest first; `units` is their progress, or None."""
    wanted = {"before": before[0], "before_id": before[1], "page": page, "progress": progress}
    if status is None:
        return rows(conn, "reads.jobs", **wanted)
    return rows(conn, "reads.jobs_by_status", status=status, **wanted)


def late(conn: Connection[Any], grace_seconds: float, page: int) -> list[Row]:
    """Return a page of jobs that are stuck, or overdue by more than `grace_seconds`; oldest first."""
    found = rows(conn, "reads.stuck", stuck_seconds=STUCK_SECONDS, page=page)
    found += rows(conn, "reads.overdue", grace_seconds=grace_seconds, most=MAX_COUNTED, page=page)
    return sorted(found, key=lambda job: job["created_at"])[:page]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _bytea(value: bytes) -> str:
    """Return bytes in PostgreSQL's hex format (manual, 8.4.1)."""
    return f"\\x{value.hex()}"
