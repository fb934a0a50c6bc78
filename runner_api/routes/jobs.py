"""Read jobs, their results and their timeline."""

import time
from dataclasses import asdict
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from runner_api.http import job_filters, stream
from runner_api.http.paging import as_cursor, cursor, header, number, page
from runner_api.http.requests import connection
from runner_api.http.services import services
from runner_api.http.wire import reply
from runner_api.views.diagnosis import Diagnosis
from runner_api.views.rows import job_of, listed, result
from runner_core import queries
from runner_core.errors import NotFound, SpecError
from runner_core.queries import Row
from runner_core.statuses import ALIVE_SECONDS
from runner_core.store import job_lists
from runner_core.store.job_lists import Filters

blueprint = Blueprint("jobs", __name__)
MAX_WAIT_SECONDS = 60
MAX_VERSION = 2**53 - 1  # JSON's largest exact integer
EVENT_STREAM = "text/event-stream"


@blueprint.get("/jobs")
def list_jobs() -> Response:
    """List jobs, newest first."""
    filters = job_filters.asked()
    limit, before = page(), cursor()
    with services().db.transaction() as conn:
        if filters == Filters(status=filters.status):
            found = job_lists.plain(conn, filters.status, before, limit)
        else:
            found = job_lists.find(conn, filters, before, limit)
    shown = [listed(row) for row in found.jobs]
    return reply({"jobs": shown, "next_cursor": as_cursor(found.next) if found.next else None})


@blueprint.get("/jobs/<job:job_id>")
def get_job(job_id: str) -> Response:
    """Read one job. 304 when the client has this version, after `wait` seconds if it has not changed by then."""
    wait = number("wait", 0, 0, MAX_WAIT_SECONDS)
    if wait and not request.if_none_match and "after" not in request.args:
        raise SpecError(detail="wait needs If-None-Match or after: the version that you have.")
    answer = _answer(job_id)
    if answer.status_code != 304 or not wait or request.if_none_match.star_tag:  # every version matches a star
        return answer
    until = time.monotonic() + wait
    with services().watchers.watch(job_id, connection()) as watcher:
        while True:
            watcher.clear()
            answer = _answer(job_id)
            left = until - time.monotonic()
            if answer.status_code != 304 or left <= 0 or watcher.over:
                return answer
            watcher.wait(left)


def _answer(job_id: str) -> Response:
    include = request.args.get("include") or ""
    if include not in ("", "executions"):
        raise SpecError(detail="include must be executions.")
    with_executions = include == "executions"
    after = number("after", -1, 0, MAX_VERSION)
    with services().db.transaction() as conn:
        job = queries.row(conn, "reads.job", job_id=job_id)
        tag = _tag(job, with_executions) if job else ""
        known = job is None or request.if_none_match.contains_weak(tag) or after == job["version"]
        rows = [] if known else queries.rows(conn, "reads.rows", job_id=job_id)
        regions = [] if known else queries.rows(conn, "portal.regions", job_id=job_id)
        processes = [] if known else queries.rows(conn, "reads.processes", alive_seconds=ALIVE_SECONDS)
    if job is None:
        raise _unknown(job_id)
    if known:
        answer = Response(status=304)
    else:
        waiting = Diagnosis(job, regions, rows, processes, datetime.now(UTC), services().catalogue.key_of).explain()
        shown = job_of(job) | {"waiting": [asdict(sentence) for sentence in waiting]}
        if with_executions:
            shown["executions"] = [result(row) for row in rows]
        answer = reply(shown)
    answer.set_etag(tag, weak=True)
    return answer


def _tag(job: Row, with_executions: bool) -> str:
    """Return the ETag: the version, and with executions the number of answers, which change no version."""
    return f"{job['version']}.{job['calls_done']}" if with_executions else str(job["version"])


@blueprint.get("/jobs/<job_id>/executions/all")
def get_rows(job_id: str) -> Response:
    """List every planned call of a job with its result."""
    with services().db.transaction() as conn:
        rows = queries.rows(conn, "reads.rows", job_id=job_id)
    if not rows:  # every job has a planned call
        raise _unknown(job_id)
    return reply({"executions": [result(row) for row in rows]})


@blueprint.get("/jobs/<job_id>/events")
def get_events(job_id: str) -> Response:
    """List the events of a job in order; a client that accepts text/event-stream gets a stream."""
    after, limit = number("after", 0, 0, MAX_VERSION), number("limit", 1000, 1, 10_000)
    after = header("Last-Event-ID", after, 0, MAX_VERSION)
    if request.accept_mimetypes.best_match(("application/json", EVENT_STREAM)) == EVENT_STREAM:
        return _stream(job_id, after)
    with services().db.transaction() as conn:
        job = queries.row(conn, "reads.version", job_id=job_id)
        # A version beyond the job's is from another server, or from before a restore.
        first = after if job and after <= job["version"] else 0
        events = queries.rows(conn, "reads.events", job_id=job_id, after=first, page=limit)
    if job is None:
        raise _unknown(job_id)
    return reply({"job_id": job_id, "status": job["status"], "version": job["version"], "events": events})


def _stream(job_id: str, after: int) -> Response:
    service = services()
    job, _ = stream.read(service.db, job_id, after)
    if job is None:
        raise _unknown(job_id)
    watcher = service.watchers.watch(job_id, connection())
    answer = Response(stream.stream(service.db, watcher, after), content_type=EVENT_STREAM)
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back
    answer.call_on_close(watcher.close)
    return answer


def _unknown(job_id: str) -> NotFound:
    return NotFound(detail=f"There is no job {job_id}.")
