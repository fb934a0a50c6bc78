"""Cancel a job. The verb that locks the job first wins; a later one reads the new status and refuses."""

from dataclasses import dataclass
from datetime import datetime

from runner_api.verbs import actions
from runner_api.verbs.actor import Actor
from runner_core import queries
from runner_core.db import Database, retried
from runner_core.endings import Endings
from runner_core.error_detail import unasked
from runner_core.errors import Conflict
from runner_core.queries import run
from runner_core.store import jobs


@dataclass(frozen=True)
class Cancelled:
    """The result of a cancellation. `executions` counts the units that had no result yet."""

    previous_status: str
    executions: int
    cancelled_at: datetime


@retried
def cancel_job(db: Database, job_id: str, actor: Actor, action_id: str) -> Cancelled:
    """End the job now: stored results stay, every other unit is cancelled, unsent messages are withdrawn.

    A worker that holds a region learns of the cancellation at its next heartbeat. Raises NotFound, Conflict when
    the job has ended, Rejected forbidden or replay_detected.
    """
    with db.transaction(pipeline=False) as conn:
        job, done = actions.begin(conn, job_id, actor, action_id)
        if done:
            now = queries.row(conn, "reads.job", job_id=job_id)
            return Cancelled(done["detail"]["previous_status"], now["cancelled"] if now else 0, done["at"])
        marked = queries.row(conn, "jobs.cancel", job_id=job_id, actor=actor.name, action_id=action_id)
        if marked is None:
            raise Conflict(detail=f"The job has ended already: its status is {job['status']}.")
        count = jobs.cancel_units(conn, job_id, unasked("cancelled"))
        closed = jobs.close(conn, job_id)
        run(conn, "outbox.withdraw", job_id=job_id)
        actions.settle(conn, job_id, job["plan"])
    Endings([], closed).report()
    db.notifier.notify([job_id])
    return Cancelled(marked["previous_status"], count, marked["cancelled_at"])
