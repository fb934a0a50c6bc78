"""What cancel, retry and republish share: how they begin, and how they stage regions again.

`action_id` names one request to act. A verb that lost its connection during COMMIT does not know whether the COMMIT
happened. The verb is repeated with the same id, and then finds its own event.
"""

from collections.abc import Iterable
from typing import Any

from psycopg import Connection

from runner_api.verbs.actor import Actor
from runner_core import queries
from runner_core.errors import NotFound, Rejected
from runner_core.queries import Row, run
from runner_core.store import jobs, outbox


def begin(conn: Connection[Any], job_id: str, actor: Actor, action_id: str) -> tuple[Row, Row | None]:
    """Lock the job, check that `actor` may act on it, spend the nonce; return the job and the event of this action.

    The event is None unless this action has happened before. Raises NotFound, Rejected forbidden for another key than
    the job's, Rejected replay_detected.
    """
    job = jobs.lock(conn, job_id)
    if job is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    if actor.public_key is not None and actor.public_key != job["public_key"]:
        raise Rejected("forbidden", "The job was submitted with another key.")
    done = queries.row(conn, "jobs.action", job_id=job_id, action_id=action_id)
    if (
        done is None
        and actor.public_key
        and actor.nonce
        and not jobs.spend_nonce(conn, actor.public_key, actor.nonce, job_id)
    ):
        raise Rejected("replay_detected", "The nonce was used before with this key: sign with a new nonce.")
    return job, done


def stage(conn: Connection[Any], job_id: str, regions: Iterable[str], reason: str) -> None:
    """Write new outbox rows for these regions, and settle the messages of these regions that were given up."""
    names = sorted(regions)
    outbox.stage(conn, [(job_id, region, reason) for region in names])
    settle(conn, job_id, names)


def settle(conn: Connection[Any], job_id: str, regions: Iterable[str]) -> None:
    """Mark the undeliverable messages of these regions as settled: operators no longer see them."""
    run(conn, "outbox.settle", job_id=job_id, regions=sorted(regions))
