"""The analysis of a job: what the comparison of its regions says."""

import re

from flask import Blueprint, Response, request

from runner_api.http.services import services
from runner_api.http.wire import reply
from runner_api.views import analysis as views
from runner_core.errors import NotFound, SpecError
from runner_core.store import analyses

blueprint = Blueprint("analysis", __name__)
HASH = "[0-9a-f]{64}"
METHOD = "[A-Za-z0-9._:+/-]{1,255}"


@blueprint.get("/jobs/<job:job_id>/analysis")
def get_analysis(job_id: str) -> Response:
    """Read the newest analysis of a job; with `at` or `method` a stored one, 404 without it. 304 if unchanged."""
    # A + of a method's id that the client did not quote arrives as a space, which no id has.
    method, at = (request.args.get("method") or "").replace(" ", "+") or None, request.args.get("at") or None
    if method is not None and not re.fullmatch(METHOD, method):
        raise SpecError(detail="method must be the id of a method, for example beacon-compare/1+refusal-rules/2.")
    if at is not None and not re.fullmatch(HASH, at):
        raise SpecError(detail="at must be the input_sha256 of an analysis: 64 hexadecimal digits, in small letters.")
    with services().db.statement() as conn:
        row = analyses.newest(conn, job_id, method=method, input_sha256=bytes.fromhex(at) if at else None)
    if row is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    asked = bool(at or method)
    if asked and row["method"] is None:
        raise NotFound(detail=f"Job {job_id} has no such analysis. Without at and method, the newest one is read.")
    tag = views.tag(row, asked=asked)
    known = request.if_none_match.contains_weak(tag)
    answer = Response(status=304) if known else reply(views.document(row, asked=asked))
    answer.set_etag(tag, weak=True)
    return answer
