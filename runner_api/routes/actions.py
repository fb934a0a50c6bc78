"""POST /jobs/{id}/cancel and /retry: by an administrator's token or by the job's own key."""

import uuid
from typing import Any

from flask import Blueprint, Response

from runner_api.auth import actor_of
from runner_api.body import read_json
from runner_api.cancel import cancel_job
from runner_api.retry import Wanted, retry_job
from runner_api.services import services
from runner_api.wire import reply
from runner_core.errors import SpecError

blueprint = Blueprint("actions", __name__)


@blueprint.post("/jobs/<job_id>/cancel")
def cancel(job_id: str) -> Response:
    """End a job now."""
    _, body = read_json(optional=True)
    done = cancel_job(services().db, job_id, actor_of("cancel", job_id, body), uuid.uuid4().hex)
    return reply(
        {
            "ok": True,
            "job_id": job_id,
            "previous_status": done.previous_status,
            "new_status": "cancelled",
            "executions_cancelled": done.executions,
            "cancelled_at": done.cancelled_at,
        }
    )


@blueprint.post("/jobs/<job_id>/retry")
def retry(job_id: str) -> Response:
    """Run what failed once more."""
    _, body = read_json(optional=True)
    who = actor_of("retry", job_id, body)
    service = services()
    region = _text(body, "region")
    wanted = Wanted(
        region and (service.catalogue.canonical_region(region) or region),
        _text(body, "model_id"),
        _text(body, "question_id"),
    )
    done = retry_job(service.db, job_id, wanted, who, uuid.uuid4().hex)
    units = [{"region": region, "model_id": model_id} for region, model_id in done.units]
    return reply({"ok": True, "job_id": job_id, "status": "running", "retried": units}, 202)


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or (isinstance(value, str) and 0 < len(value) <= 255):
        return value
    raise SpecError(detail=f"{name} must be a text of 1 to 255 characters.")
