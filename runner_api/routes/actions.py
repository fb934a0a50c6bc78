"""POST /jobs/{id}/cancel and /retry, with an administrator's token or signed by the job's own key."""

import uuid

from flask import Blueprint, Response

from runner_api.contract.job_schemas import Action, RetryAction
from runner_api.http.auth import actor_of
from runner_api.http.body import read_json
from runner_api.http.services import services
from runner_api.http.wire import reply
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_core.job_shapes import validated

blueprint = Blueprint("actions", __name__)


@blueprint.post("/jobs/<job_id>/cancel")
def cancel(job_id: str) -> Response:
    """Cancel a job."""
    _, body = read_json(optional=True)
    actor = actor_of("cancel", job_id, body)
    validated(Action, body)
    done = cancel_job(services().db, job_id, actor, uuid.uuid4().hex)
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
    """Run failed units of a job again."""
    _, body = read_json(optional=True)
    actor = actor_of("retry", job_id, body)
    asked = validated(RetryAction, body)
    service = services()
    region = asked.region and (service.catalogue.canonical_region(asked.region) or asked.region)
    wanted = Wanted(region, asked.model_id, asked.question_id)
    done = retry_job(service.db, job_id, wanted, actor, uuid.uuid4().hex)
    units = [{"region": region, "model_id": model_id} for region, model_id in done.units]
    return reply({"ok": True, "job_id": job_id, "status": "running", "retried": units}, 202)
