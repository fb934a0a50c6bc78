"""Run failed units of ended regions once more. The event keeps the earlier results."""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from runner_api.verbs import actions
from runner_api.verbs.actor import Actor
from runner_api.verbs.upgrade import check_regions
from runner_core import queries
from runner_core.db import Database, retried
from runner_core.errors import Conflict, SpecError
from runner_core.queries import Row
from runner_core.store import jobs


@dataclass(frozen=True)
class Wanted:
    """Which failed units to retry; None means all of them. `units`: only these, as (region, model).

    `code`: the error code by which these units were chosen; the event tells it.
    """

    region: str | None = None
    model_id: str | None = None
    question_id: str | None = None
    units: tuple[tuple[str, str], ...] | None = None
    code: str | None = None


@dataclass(frozen=True)
class Retried:
    """The units that run again, as (region, model)."""

    units: list[tuple[str, str]]


@retried
def retry_job(db: Database, job_id: str, wanted: Wanted, actor: Actor, action_id: str) -> Retried:
    """Run failed units again, with as many attempts as a new region has.

    Raises NotFound, SpecError for a unit that the job does not have, Conflict when there is nothing to retry,
    Rejected forbidden, replay_detected, or upgrade_in_progress.
    """
    with db.transaction(pipeline=False) as conn:
        job, done = actions.begin(conn, job_id, actor, action_id)
        if done:
            return Retried([(unit["region"], unit["model_id"]) for unit in done["detail"]["units"]])
        _check(job, wanted)
        units = reopen(conn, db, job, wanted, actor, action_id, "retry")
    db.notifier.notify([job_id], outbox=True)
    return Retried(units)


def reopen(
    conn: Connection[Any], db: Database, job: Row, wanted: Wanted, actor: Actor, action_id: str, reason: str
) -> list[tuple[str, str]]:
    """Reopen the wanted units and stage their regions. The caller holds the job's lock.

    Raises Conflict, and Rejected upgrade_in_progress for a job with parameters.
    """
    job_id = job["id"]
    if job["status"] == "cancelled":
        raise Conflict(detail="The job was cancelled: it can't be retried.")
    attempts = db.settings.jobs.region_max_attempts
    reopened = jobs.reopen_units(
        conn,
        job_id,
        region=wanted.region,
        model_id=wanted.model_id,
        question_id=wanted.question_id,
        units=wanted.units,
        more_attempts=attempts,
    )
    if not reopened:
        raise Conflict(detail=_why_nothing(conn, job, wanted))
    if job["parameters"]:
        check_regions(conn, {unit["region"] for unit in reopened})
    named = ("region", "model_id", "question_id", "code")
    asked = {name: value for name in named if (value := getattr(wanted, name)) is not None}
    jobs.reopen(
        conn,
        job_id,
        actor=actor.name,
        detail={"units": reopened, **asked, "action_id": action_id},
        queue_timeout_seconds=db.settings.jobs.queue_timeout_seconds,
    )
    actions.stage(conn, job_id, {unit["region"] for unit in reopened}, reason)
    return [(unit["region"], unit["model_id"]) for unit in reopened]


def _check(job: Row, wanted: Wanted) -> None:
    plan = job["plan"]
    if wanted.region is not None and wanted.region not in plan:
        raise SpecError(detail=f"The job does not run in {wanted.region}; it runs in {', '.join(plan)}.")
    if wanted.model_id is not None and not any(
        wanted.model_id in models for region, models in plan.items() if wanted.region in (None, region)
    ):
        raise SpecError(detail="The job does not ask this model in these regions.")
    if wanted.question_id is not None and wanted.question_id not in {q["id"] for q in job["questions"]}:
        raise SpecError(detail="The job has no such question.")


def _why_nothing(conn: Connection[Any], job: Row, wanted: Wanted) -> str:
    found = queries.rows(conn, "reads.open_regions", job_id=job["id"])
    open_regions = [r["region"] for r in found if wanted.region in (None, r["region"])]
    if open_regions:
        return f"Nothing to retry yet: these regions have not ended: {', '.join(open_regions)}."
    return "Nothing to retry: no unit that the request names has failed."
