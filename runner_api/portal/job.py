"""The page of one job: its grid, its diagnosis, its timeline, its specification."""

import json
from datetime import UTC, datetime

from flask import request
from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, page
from runner_api.views import analysis, grid, timeline
from runner_api.views.diagnosis import Diagnosis
from runner_core import queries
from runner_core.errors import NotFound
from runner_core.ignored_fields import ignored_fields
from runner_core.keys import key_id
from runner_core.statuses import ALIVE_SECONDS, OPEN, in_order, verdict
from runner_core.store import analyses

NEWEST_EVENTS = 300
NOTICES = {  # what the page says after an action, by the query parameter `said`
    "submitted": "The job was accepted.",
    "cancelled": "The job was cancelled.",
    "retried": "The failed units run again.",
    "republished": "The waiting regions were sent again.",
}


@blueprint.get("/jobs/<job_id>")
def job(job_id: str) -> Response:
    """Show the job as it is now."""
    with services().db.transaction() as conn:
        found, extra = queries.row(conn, "reads.job", job_id=job_id), queries.row(conn, "portal.job", job_id=job_id)
        rows = queries.rows(conn, "reads.rows", job_id=job_id)
        regions = queries.rows(conn, "portal.regions", job_id=job_id)
        newest = found["version"] if found else 0
        after = max(0, newest - NEWEST_EVENTS)
        events = queries.rows(conn, "reads.events", job_id=job_id, after=after, page=NEWEST_EVENTS)
        processes = queries.rows(conn, "reads.processes", alive_seconds=ALIVE_SECONDS)
        analysed = analyses.newest(conn, job_id)
    if found is None or extra is None or analysed is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    finished = {region["region"] for region in regions if region["finished_at"]}
    order = in_order(found["plan"])
    regions.sort(key=lambda region: order.index(region["region"]))
    spec = json.loads(found["spec_raw"])
    state, why = analysis.state_of(analysed)
    failed = grid.failed_units(rows, finished) if found["status"] != "cancelled" else set()
    return page(
        "job.html",
        job=found,
        extra=extra,
        verdict=verdict(found["status"], found["cross_status"]),
        open=found["status"] in OPEN,
        regions=regions,
        retryable={region for region, _ in failed},
        blocks=grid.blocks(found, extra["questions"], rows, finished),
        several=extra["runs"] > 1,
        waiting=Diagnosis(found, regions, rows, processes, datetime.now(UTC)).explain(),
        moments=timeline.moments(
            events, found["created_at"], {r["region"]: r["status"] for r in regions if r["finished_at"]}
        ),
        first_events_left_out=found["version"] > NEWEST_EVENTS,
        key_id=key_id(extra["public_key"]) if extra["public_key"] else None,
        spec=spec,
        ignored=ignored_fields(spec),
        state=state,
        why=why,
        result=analysed["result"] if state == "ready" else None,
        models=len(grid.models_of(found["plan"])),
        notice=NOTICES.get(request.args.get("said", "")),
    )
