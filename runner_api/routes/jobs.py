"""Jobs as they stand, their results, their timeline."""

import json
from typing import Any

from flask import Blueprint, Response, request

from runner_api.paging import cursor, next_cursor, number, page
from runner_api.rows import result
from runner_api.services import services
from runner_api.wire import reply
from runner_core.errors import NotFound, SpecError
from runner_core.queries import Row
from runner_core.store import reads

blueprint = Blueprint("jobs", __name__)
STATUSES = ("queued", "running", "completed", "failed", "cancelled")


@blueprint.get("/jobs")
def list_jobs() -> Response:
    """A page of jobs, newest first."""
    status = request.args.get("status") or None
    if status is not None and status not in STATUSES:
        raise SpecError(detail=f"status must be one of {', '.join(STATUSES)}.")
    limit, before = page(), cursor()
    with services().db.transaction() as conn:
        found = reads.jobs(conn, status, before, limit + 1)
    shown = [_listed(row) for row in found[:limit]]
    return reply({"jobs": shown, "next_cursor": next_cursor(found[limit - 1]) if len(found) > limit else None})


@blueprint.get("/jobs/<job_id>")
def get_job(job_id: str) -> Response:
    """One job; 304 when the client has this version of it."""
    with_executions = request.args.get("include") == "executions"
    with services().db.transaction() as conn:
        job = reads.job(conn, job_id)
        rows = reads.job_rows(conn, job_id) if job and with_executions else []
    if job is None:
        raise _unknown()
    # The version tells states apart, an answer does not change it: with the rows the number of answers does.
    tag = f"{job['version']}.{job['calls_done']}" if with_executions else str(job["version"])
    if request.if_none_match.contains_weak(tag):
        answer = Response(status=304)
    else:
        shown = _shown(job)
        if with_executions:
            shown["executions"] = [result(row) for row in rows]
        answer = reply(shown)
    answer.set_etag(tag, weak=True)
    return answer


@blueprint.get("/jobs/<job_id>/executions/all")
def get_rows(job_id: str) -> Response:
    """Every planned call with what became of it."""
    with services().db.transaction() as conn:
        rows = reads.job_rows(conn, job_id)
    if not rows:  # a job without a planned call does not exist
        raise _unknown()
    return reply({"executions": [result(row) for row in rows]})


@blueprint.get("/jobs/<job_id>/events")
def get_events(job_id: str) -> Response:
    """What happened to the job, in order."""
    after, limit = number("after", 0, 0, 2**31 - 1), number("limit", 1000, 1, 10_000)
    with services().db.transaction() as conn:
        job = reads.version(conn, job_id)
        events = reads.events(conn, job_id, after, limit)
    if job is None:
        raise _unknown()
    return reply({"job_id": job_id, "status": job["status"], "version": job["version"], "events": events})


def _unknown() -> NotFound:
    return NotFound(detail="There is no such job.")


def _listed(row: Row) -> dict[str, Any]:
    models = dict.fromkeys(model for region in row["plan"].values() for model in region)
    return {
        "id": row["id"],
        "status": row["status"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "regions": list(row["plan"]),
        "models": list(models),
    }


def _shown(job: Row) -> dict[str, Any]:
    return {
        "id": job["id"],
        "status": job["status"],
        "job": json.loads(job["spec_raw"]),
        "cross_region": {
            "id": job["cross_region_execution_id"],
            "jobspec_id": job["id"],
            "total_regions": job["total_regions"],
            "success_count": job["success_count"],
            "failure_count": job["failure_count"],
            "min_regions_required": job["min_regions_required"],
            "min_success_rate": job["min_success_rate"],
            "status": job["cross_status"],
            "started_at": job["started_at"],
            "completed_at": job["completed_at"],
            "duration_ms": job["duration_ms"],
            "enable_analysis": job["enable_analysis"],
        },
        "progress": {
            "total": job["total"],
            "completed": job["completed"],
            "failed": job["failed"],
            "cancelled": job["cancelled"],
            "running": job["running"],
            "pending": job["total"] - job["completed"] - job["failed"] - job["cancelled"] - job["running"],
            "answers": {"total": job["calls"], "done": job["calls_done"]},
        },
        "version": job["version"],
        "created_at": job["created_at"],
        "updated_at": job["updated_at"],
        "started_at": job["started_at"],
        "completed_at": job["completed_at"],
    }
