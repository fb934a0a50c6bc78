"""For operators with a token: waiting messages, queues, stuck jobs, processes, dead messages, republishing."""

import uuid

from flask import Blueprint, Response

from runner_api.http.auth import admin
from runner_api.http.paging import page
from runner_api.http.services import services
from runner_api.http.wire import reply
from runner_api.verbs.republish import republish_job, republish_row
from runner_api.views import queues as views
from runner_core import queries
from runner_core.limits import MAX_COUNTED
from runner_core.statuses import ALIVE_SECONDS
from runner_core.store import jobs

blueprint = Blueprint("admin", __name__, url_prefix="/admin")


@blueprint.before_request
def _only_administrators() -> None:
    admin()


@blueprint.get("/outbox")
def outbox() -> Response:
    """List the messages that wait to be published."""
    limit = page()
    with services().db.transaction() as conn:
        counts = queries.single(conn, "metrics.outbox", most=MAX_COUNTED)
        waiting = queries.rows(conn, "reads.outbox", page=limit)
    return reply({**counts, "rows": waiting})


@blueprint.get("/queues")
def queues() -> Response:
    """List each region's waiting and running runs, and its workers."""
    service = services()
    with service.db.transaction() as conn:
        open_runs = queries.rows(conn, "reads.queues")
        alive = queries.rows(conn, "reads.alive", alive_seconds=ALIVE_SECONDS)
    workers = {row["region"]: row["alive"] for row in alive if row["kind"] == "worker"}
    regions = dict.fromkeys([*service.catalogue.regions, *(row["region"] for row in open_runs), *workers])
    return reply({"queues": views.queues(regions, open_runs, workers)})


@blueprint.get("/stuck")
def stuck() -> Response:
    """List jobs that wait too long or run past their deadline."""
    service, limit = services(), page()
    with service.db.transaction() as conn:
        found = jobs.late(conn, service.settings.jobs.overdue_grace_seconds, limit)
    return reply({"jobs": found})


@blueprint.get("/processes")
def processes() -> Response:
    """List every process seen in the last hour."""
    with services().db.transaction() as conn:
        return reply({"processes": queries.rows(conn, "reads.processes", alive_seconds=ALIVE_SECONDS)})


@blueprint.get("/dead")
def dead() -> Response:
    """List the messages that could not be delivered."""
    limit = page()
    with services().db.transaction() as conn:
        return reply({"rows": queries.rows(conn, "reads.dead", page=limit)})


@blueprint.post("/outbox/<int(max=9223372036854775807):row_id>/republish")
def republish_message(row_id: int) -> Response:
    """Send one message again. A region that ended because of this message is reopened as a retry."""
    service = services()
    job_id, regions = republish_row(service.db, row_id, admin(), uuid.uuid4().hex)
    return reply({"ok": True, "job_id": job_id, "regions": regions}, 202)


@blueprint.post("/jobs/<job_id>/republish")
def republish(job_id: str) -> Response:
    """Send every region of a job that no worker holds again."""
    service = services()
    regions = republish_job(service.db, job_id, admin(), uuid.uuid4().hex)
    return reply({"ok": True, "job_id": job_id, "regions": regions}, 202)
