"""What cancel, retry and republish have in common: how they begin, and how regions are staged again.

`action_id` names one request to act. A verb that lost its connection during COMMIT does not know whether it happened;
it comes again with the same id and finds its own event.
"""

from collections.abc import Iterable
from typing import Any

from psycopg import Connection

from runner_api.verbs.actor import Actor
from runner_core import queries
from runner_core.errors import NotFound, Rejected
from runner_core.queries import Row, run
from runner_core.store import jobs, outbox


def begin(conn: Connection[Any], job_id: str, who: Actor, action_id: str) -> tuple[Row, Row | None]:
    """Lock the job, check that `who` may act on it, spend the nonce; the job, and the action's event if it happened.

    Raises NotFound, Rejected forbidden for another key than the job's, Rejected replay_detected.
    """
    job = jobs.lock(conn, job_id)
    if job is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    if who.public_key is not None and who.public_key != job["public_key"]:
        raise Rejected("forbidden", "The job was submitted with another key.")
    done = queries.row(conn, "jobs.action", job_id=job_id, action_id=action_id)
    if done is None and who.public_key and who.nonce and not jobs.spend_nonce(conn, who.public_key, who.nonce, job_id):
        raise Rejected("replay_detected", "This key's nonce was used before.")
    return job, done


def stage(conn: Connection[Any], job_id: str, regions: Iterable[str], reason: str) -> None:
    """Send these regions again by the front door; messages of theirs that were given up are settled by it."""
    names = sorted(regions)
    outbox.stage(conn, [(job_id, region, reason) for region in names])
    settle(conn, job_id, names)


def settle(conn: Connection[Any], job_id: str, regions: Iterable[str]) -> None:
    """Nobody needs to look at the undeliverable messages of these regions any more."""
    run(conn, "outbox.settle", job_id=job_id, regions=sorted(regions))
