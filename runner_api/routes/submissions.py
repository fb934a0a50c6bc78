"""POST /jobs and /jobs/cross-region: both accept a job by the same checks and the same transaction."""

from typing import Any

from flask import Blueprint, Response

from runner_api.http.accept import accept
from runner_api.http.body import read_json
from runner_api.http.wire import reply
from runner_api.verbs.submit import Accepted
from runner_core.ignored_fields import ignored_fields
from runner_core.jobspec import split_wrapper

blueprint = Blueprint("submissions", __name__)


@blueprint.post("/jobs")
def post_job() -> Response:
    """Accept a signed job."""
    raw, spec = read_json()
    accepted = accept(spec, raw, None)
    here = f"/api/v1/jobs/{accepted.job_id}"
    links = {
        "self": here,
        "executions": f"{here}/executions/all",
        "events": f"{here}/events",
        "cross_region": f"/api/v1/executions/{accepted.cross_region_execution_id}/cross-region",
    }
    return _answer(
        accepted,
        {
            "id": accepted.job_id,
            "job_id": accepted.job_id,
            "status": accepted.status,
            "cross_region_execution_id": accepted.cross_region_execution_id,
            "links": links,
        },
        ignored_fields(spec),
    )


@blueprint.post("/jobs/cross-region")
def post_cross_region() -> Response:
    """Accept a signed job in a wrapper, which may narrow the signed conditions."""
    raw, body = read_json()
    spec, spec_raw = split_wrapper(raw, body)
    accepted = accept(spec, spec_raw, body)
    shown: dict[str, Any] = {
        "id": accepted.job_id,
        "job_id": accepted.job_id,
        "jobspec_id": accepted.job_id,
        "cross_region_execution_id": accepted.cross_region_execution_id,
        "total_regions": accepted.regions,
        "min_regions": accepted.min_regions,
        "status": accepted.status,
        "submitted_at": accepted.created_at,
    }
    if accepted.enable_analysis is not None:
        shown["enable_analysis"] = accepted.enable_analysis
    return _answer(accepted, shown, ignored_fields(spec, body))


def _answer(accepted: Accepted, shown: dict[str, Any], ignored: list[str]) -> Response:
    if ignored:
        shown["ignored"] = ignored
    if accepted.replayed:
        return reply(shown | {"idempotent": True}, 200, {"Idempotency-Replayed": "true"})
    return reply(shown, 202, {"Location": f"/api/v1/jobs/{accepted.job_id}"})
