"""POST /jobs and /jobs/cross-region: the same checks in the same order, the same transaction."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response

from runner_api.body import read_json
from runner_api.idempotency import stored_key
from runner_api.requests import request_id, traceparent
from runner_api.services import services
from runner_api.submit import Accepted, Sender, find_repeat, submit_job
from runner_api.wire import reply
from runner_core.errors import Rejected, SignatureError
from runner_core.jobspec import Submission, Wrapper, plan_job, split_wrapper
from runner_core.signing import check_freshness, is_signed, key_id, unsigned, verify

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
    )


@blueprint.post("/jobs/cross-region")
def post_cross_region() -> Response:
    """Accept a signed job in a wrapper, which may narrow what is signed."""
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
    return _answer(accepted, shown)


def accept(spec: dict[str, Any], raw: bytes, wrapping: dict[str, Any] | None) -> Accepted:
    """Signature, trust, repeat, freshness, validation, transaction A.

    A fresh and valid request goes straight to transaction A, where a repeat shows as a key that exists; asking first
    would cost every job a round trip. Only a stale one is asked about, because a repeat is good whatever its age.
    """
    service = services()
    now = datetime.now(UTC)
    content = unsigned(spec)
    form, actor = None, "unsigned"
    if is_signed(spec) or not service.settings.allow_unsigned:
        form = verify(spec, content)
        actor = (
            service.trust.check(spec["public_key"], now).kid if service.trust else f"key:{key_id(spec['public_key'])}"
        )
    job: Submission | None = None
    invalid: Rejected | None = None
    try:
        key = stored_key(spec["public_key"] if form else None)
        wrapper = None if wrapping is None else Wrapper.parse(wrapping)
        job = plan_job(spec, service.catalogue, wrapper, raw=raw, signature_form=form, content=content)
    except Rejected as error:
        invalid = error
    if form and service.settings.freshness_enforce:
        try:
            check_freshness(spec, now)
        except SignatureError:
            if job and (earlier := find_repeat(service.db, job, key)):
                return earlier
            raise
    if invalid or job is None:
        raise invalid or Rejected()
    return submit_job(service.db, service.submissions, job, Sender(actor, key, request_id(), traceparent()))


def _answer(accepted: Accepted, shown: dict[str, Any]) -> Response:
    if accepted.replayed:
        return reply(shown | {"idempotent": True}, 200, {"Idempotency-Replayed": "true"})
    return reply(shown, 202, {"Location": f"/api/v1/jobs/{accepted.job_id}"})
