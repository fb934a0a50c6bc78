"""Transaction A: one statement inserts a job, its key, its nonce, its first event and its messages, or nothing.

Jobs that arrive at the same time share a transaction (runner_api/verbs/group_commit.py).

A submission has one of three results. The job is new: it is inserted. The same request was accepted before: the
earlier answer is given again. The request has the id, the key or the nonce of another job: the request is refused, and
nothing is stored.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.errors import LockNotAvailable, ProgramLimitExceeded, UniqueViolation

from runner_api.verbs.group_commit import GroupCommit
from runner_core import queries
from runner_core.db import Database, retried
from runner_core.errors import Rejected
from runner_core.failpoints import failpoint
from runner_core.failures import failure_of
from runner_core.jobspec import Submission
from runner_core.queries import Row
from runner_core.store import jobs
from runner_core.telemetry import JOBS_ENQUEUED, context

log = logging.getLogger("api.submit")


@dataclass(frozen=True)
class Sender:
    """The sender of a request. `key` is the stored form of the Idempotency-Key header."""

    actor: str
    key: str | None
    request_id: str
    traceparent: str


@dataclass(frozen=True)
class Accepted:
    """An accepted job; `replayed` when an earlier request was accepted and this one repeats it."""

    job_id: str
    cross_region_execution_id: str
    status: str
    created_at: datetime
    regions: int
    min_regions: int
    enable_analysis: bool | None
    replayed: bool


def shared_submissions(db: Database) -> GroupCommit:
    """Return the group commit of a process, in which the submissions of its requests share their transactions."""
    return GroupCommit(
        lambda entries: _insert(db, entries),
        is_common=lambda error: failure_of(error).concerns == "server" or _is_busy(error),
    )


def submit_job(db: Database, submissions: GroupCommit, job: Submission, sender: Sender) -> Accepted:
    """Accept a valid job once.

    Raises Rejected: job_conflict, replay_detected, idempotency_key_reuse, request_in_flight.
    """
    key = sender.key or f"job:{job.job_id}"
    entry = jobs.Entry(job, key, sender.actor, sender.request_id, sender.traceparent)
    for _ in range(2):
        try:
            inserted = submissions.put(entry)
        except UniqueViolation:
            inserted = None
        except LockNotAvailable as error:
            if _is_busy(error):
                raise
            break
        if inserted:
            JOBS_ENQUEUED.inc()
            return Accepted(
                job.job_id,
                inserted["cross_region_execution_id"],
                "queued",
                inserted["created_at"],
                len(job.plan),
                job.min_regions,
                job.enable_analysis,
                replayed=False,
            )
        earlier, refusal = _look_up(db, job, sender.key)
        if earlier:
            return earlier
        if refusal:
            raise refusal
        # No job, key or nonce is in the way any more: the retention removed it, or the key has expired.
        _expire(db, key)
    raise Rejected("request_in_flight", "The same request is being accepted at this moment. Try again shortly.")


def find_repeat(db: Database, job: Submission, key: str | None) -> Accepted | None:
    """Return the accepted job that this request repeats, None when it repeats none. No nonce is spent."""
    return _look_up(db, job, key)[0]


def _is_busy(error: BaseException) -> bool:
    """Return whether the statement waited for another commit, and not for a row.

    PostgreSQL gives an error about a row a context, which names the index.
    """
    return isinstance(error, LockNotAvailable) and not error.diag.context


def _insert(db: Database, entries: Sequence[jobs.Entry]) -> list[Row | None]:
    """Insert these jobs in one transaction."""
    # A statement for several requests must not carry the request id of one of them in logs and audit lines.
    mine = context.set(context.get() if len(entries) == 1 else None)
    try:
        return _insert_all(db, entries)
    finally:
        context.reset(mine)


def _insert_all(db: Database, entries: Sequence[jobs.Entry]) -> list[Row | None]:
    """Return the inserted row of each entry, None for a job whose id, key or nonce was used before."""
    first: dict[str, jobs.Entry] = {}
    for entry in entries:
        first.setdefault(entry.job.job_id, entry)
    try:
        inserted = _insert_new(db, list(first.values()))
    except UniqueViolation:
        if len(first) == 1 or not (repeats := _repeats(db, list(first.values()))):
            raise
        inserted = _insert_new(db, [entry for job_id, entry in first.items() if job_id not in repeats])
    # The second entry with the same id is answered like any other repeat.
    return [inserted.get(entry.job.job_id) if first[entry.job.job_id] is entry else None for entry in entries]


@retried
def _insert_new(db: Database, entries: Sequence[jobs.Entry]) -> dict[str, Row]:
    failpoint("api.inserting")
    try:
        inserted = _send(db, entries, notify=True)
    except ProgramLimitExceeded:
        # Listeners of other databases fill the one queue that a server has. The publishers poll until it has room.
        log.warning("submitting without a notification: the server's queue of notifications is full")
        inserted = _send(db, entries, notify=False)
    failpoint("api.committed")
    return inserted


def _send(db: Database, entries: Sequence[jobs.Entry], *, notify: bool) -> dict[str, Row]:
    expected = ("23505", "55P03", "54000") if notify else ("23505", "55P03")
    with db.statement(expected=expected) as conn:
        return jobs.submit(conn, entries, queue_timeout_seconds=db.settings.jobs.queue_timeout_seconds, notify=notify)


@retried
def _repeats(db: Database, entries: Sequence[jobs.Entry]) -> set[str]:
    with db.statement() as conn:
        return jobs.repeats(conn, entries)


@retried
def _look_up(db: Database, job: Submission, key: str | None) -> tuple[Accepted | None, Rejected | None]:
    """Return what was accepted under this key, id or nonce, or the refusal. An equal digest makes it a repeat."""
    with db.transaction(pipeline=False) as conn:
        if key and (known := queries.row(conn, "idempotency.find", key=key)):
            if known["request_digest"] == job.digest:
                return _accepted(conn, known["job_id"]), None
            return None, Rejected(
                "idempotency_key_reuse", "This Idempotency-Key was used for another request: send a new key."
            )
        if stored := queries.row(conn, "jobs.stored", job_id=job.job_id):
            if stored["digest"] == job.digest:
                return _answer(stored), None
            return None, Rejected(
                "job_conflict", "A job with this id and other content was accepted before: choose a new id."
            )
        if job.public_key and job.nonce and (owner := jobs.nonce_owner(conn, job.public_key, job.nonce)):
            return None, Rejected("replay_detected", f"The nonce was used before with this key, for the job {owner}.")
    return None, None


@retried
def _expire(db: Database, key: str) -> None:
    with db.transaction() as conn:
        queries.run(conn, "idempotency.expire", key=key)


def _accepted(conn: Connection[Any], job_id: str) -> Accepted | None:
    stored = queries.row(conn, "jobs.stored", job_id=job_id)
    return _answer(stored) if stored else None


def _answer(stored: Row) -> Accepted:
    return Accepted(
        stored["id"],
        stored["cross_region_execution_id"],
        stored["status"],
        stored["created_at"],
        len(stored["plan"]),
        stored["min_regions"],
        stored["enable_analysis"],
        replayed=True,
    )
