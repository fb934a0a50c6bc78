"""The page of one job: its answers, what it waits for, what went wrong, its time, its events, its specification."""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import request, url_for
from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, known_parts, page, refreshing
from runner_api.views import analysis, failures, grid, timeline
from runner_api.views.diagnosis import Diagnosis
from runner_api.views.lanes import Lanes, lanes
from runner_core import queries
from runner_core.errors import NotFound
from runner_core.ignored_fields import ignored_fields
from runner_core.keys import key_id
from runner_core.queries import Row
from runner_core.statuses import ALIVE_SECONDS, OPEN, in_order, verdict
from runner_core.store import analyses

NEWEST_EVENTS = 300
MOST_FAILURES = 12  # groups that the page lists
SHORT, WHOLE = 240, 20_000  # characters of an answer: two lines of a cell; all of it in a job of one question and model
VIEWS = ("answers", "status")
PICTURES = 200  # so many times the picture of a job's time changes while the job runs, at most once a second
NOTICES = {  # what the page says after an action, by the query parameter `said`
    "submitted": "The job was accepted.",
    "cancelled": "The job was cancelled.",
    "retried": "The failed units run again.",
    "republished": "The waiting regions were sent again.",
}


@blueprint.get("/jobs/<job_id>")
def job(job_id: str) -> Response:
    """Show the job as it is now. `view`: answers or status; `show`: only what failed or was refused."""
    with services().db.transaction() as conn:
        found, extra = queries.row(conn, "reads.job", job_id=job_id), queries.row(conn, "portal.job", job_id=job_id)
        single = found is not None and extra is not None and _is_single(found, extra)
        rows = queries.rows(conn, "portal.calls", job_id=job_id, characters=WHOLE if single else SHORT)
        regions = queries.rows(conn, "portal.regions", job_id=job_id)
        newest = found["version"] if found else 0
        after = max(0, newest - NEWEST_EVENTS)
        events = queries.rows(conn, "reads.events", job_id=job_id, after=after, page=NEWEST_EVENTS)
        processes = queries.rows(conn, "reads.processes", alive_seconds=ALIVE_SECONDS)
        analysed = analyses.newest(conn, job_id)
    if found is None or extra is None or analysed is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    now, key_of = datetime.now(UTC), services().catalogue.key_of
    finished = {region["region"] for region in regions if region["finished_at"]}
    order = in_order(found["plan"])
    regions.sort(key=lambda region: order.index(region["region"]))
    spec = json.loads(found["spec_raw"])
    state, why = analysis.state_of(analysed)
    failed = grid.failed_units(rows, finished) if found["status"] != "cancelled" else set()
    diagnosis = Diagnosis(found, regions, rows, processes, now, key_of)
    grouped = failures.failures(rows, key_of)
    blocks = grid.blocks(found, extra["questions"], rows, finished)
    show = request.args.get("show", "")
    show = show if show in grid.SHOWN else ""
    view = request.args.get("view", "")
    is_open = found["status"] in OPEN
    return page(
        "job.html",
        job=found,
        extra=extra,
        verdict=verdict(found["status"], found["cross_status"], found["failed"]),
        open=is_open,
        refreshing=refreshing(),
        known=known_parts(),
        regions=regions,
        retryable={region for region, _ in failed},
        failed_units=failed,
        counts={name: sum(block.counts[name] for block in blocks) for name in ("all", "failed", "refused")},
        blocks=grid.only(blocks, show),
        many=len(blocks) > grid.MANY,
        view=view if view in VIEWS else VIEWS[0],
        show=show,
        address=_address,
        single=single,
        several=extra["runs"] > 1,
        waiting=diagnosis.explain() if is_open else [],
        troubled=is_open and diagnosis.troubled(),
        failures=grouped,
        codes=Counter(group.code for group in grouped),
        most_failures=MOST_FAILURES,
        lanes=(drawn := _drawn(found, regions, rows, now)),
        lanes_tag=hashlib.sha256(repr(drawn).encode()).hexdigest()[:8],
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


def _is_single(found: Row, extra: Row) -> bool:
    """Return whether a job asks one question of one model, in whatever regions."""
    return (len(extra["questions"]), extra["runs"], len(grid.models_of(found["plan"]))) == (1, 1, 1)


def _address(**changes: str) -> str:
    """Return the address of this page with other parameters. An empty value leaves a parameter out."""
    kept = {name: request.args[name] for name in ("view", "show", "tz") if request.args.get(name)} | changes
    values: dict[str, Any] = {name: value for name, value in kept.items() if value}
    return url_for("portal.job", **(request.view_args or {}), **values)


def _drawn(found: Row, regions: list[Row], rows: list[Row], now: datetime) -> Lanes:
    """Return the picture of the job's time. The present is rounded down, so that it seldom changes."""
    began = found["created_at"]
    step = max(1.0, (now - began).total_seconds() / PICTURES)
    return lanes(found, regions, rows, began + timedelta(seconds=(now - began).total_seconds() // step * step))
