"""Send messages again by hand: one that was given up, or those of all waiting regions of a job."""

from runner_api.verbs import actions
from runner_api.verbs.actor import Actor
from runner_api.verbs.retry import Wanted, reopen
from runner_core import queries
from runner_core.db import Database, retried
from runner_core.errors import Conflict, NotFound
from runner_core.message import topic
from runner_core.statuses import OPEN

REASON = "republished"


@retried
def republish_row(db: Database, row_id: int, actor: Actor, action_id: str) -> tuple[str, list[str]]:
    """Send the region of an outbox row again; return the job's id and the region.

    A region that has ended is reopened as a retry. Raises NotFound, Conflict when the message still waits, when a
    worker holds the region, or when nothing of the region has failed, and what reopen raises.
    """
    with db.transaction(pipeline=False) as conn:
        message = queries.row(conn, "reads.outbox_row", outbox_id=row_id)
        if message is None:
            raise NotFound(detail=f"There is no outbox row {row_id}.")
        job_id = message["job_id"]
        job, done = actions.begin(conn, job_id, actor, action_id)
        region = next(name for name in job["plan"] if topic(name) == message["topic"])
        if done:
            return job_id, [region]
        if message["processed_at"] is None and message["dead_at"] is None:
            raise Conflict(detail="The message has not been published yet: a publisher will send it.")
        run = next((r for r in queries.rows(conn, "reads.open_regions", job_id=job_id) if r["region"] == region), None)
        if run is None:
            reopen(conn, db, job, Wanted(region), actor, action_id, REASON)
        elif run["leased"]:
            raise Conflict(detail=f"A worker holds {region} at the moment.")
        else:
            actions.stage(conn, job_id, [region], REASON)
    db.notifier.notify([job_id], outbox=True)
    return job_id, [region]


@retried
def republish_job(db: Database, job_id: str, actor: Actor, action_id: str) -> list[str]:
    """Send every region of the job that no worker holds again; return these regions.

    A second message does no harm when the first one was on its way. Raises NotFound, and Conflict when the job has
    ended or workers hold all its regions.
    """
    with db.transaction(pipeline=False) as conn:
        job, _ = actions.begin(conn, job_id, actor, action_id)
        waiting = [r["region"] for r in queries.rows(conn, "reads.open_regions", job_id=job_id) if not r["leased"]]
        if job["status"] not in OPEN:
            raise Conflict(detail=f"The job has ended: its status is {job['status']}. Its failed units can be retried.")
        if not waiting:
            raise Conflict(detail="No region waits: workers hold every region that has not ended.")
        actions.stage(conn, job_id, waiting, REASON)
    db.notifier.notify([job_id], outbox=True)
    return waiting
