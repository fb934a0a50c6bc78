"""Submit a job: with a form that the browser signs, empty or filled with an earlier job, or as pasted signed JSON."""

import json
import re

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from runner_api.http.accept import accept
from runner_api.http.body import LIMIT
from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, page
from runner_api.views.resubmission import Again, again
from runner_api.views.words import Exact
from runner_core import queries
from runner_core.errors import NotFound, Rejected
from runner_core.job_shapes import MAX_RUNS, MAX_TIMEOUT, NANOSECONDS
from runner_core.jobspec import MAX_CALLS
from runner_core.statuses import in_order
from runner_core.strict_json import parse_json

_ID = re.compile(r"[A-Za-z0-9._:-]{1,255}", re.ASCII)


@blueprint.get("/submit")
def submit() -> Response:
    """Show the form and the field for pasted JSON. `?again=ID` fills the form with the specification of that job."""
    wanted = request.args.get("again", "")
    if not wanted:
        return _form()
    with services().db.transaction() as conn:
        found = queries.row(conn, "reads.job", job_id=wanted) if _ID.fullmatch(wanted) else None
    if found is None:
        raise NotFound(detail="There is no such job to submit again.")
    return _form(earlier=again(wanted, json.loads(found["spec_raw"]), found["plan"], services().catalogue))


@blueprint.post("/submit")
def paste() -> Response:
    """Accept pasted JSON exactly as POST /api/v1/jobs does. The signature names the sender, so no login is needed."""
    request.max_form_memory_size = 4 * LIMIT  # a form writes most of JSON's punctuation as three characters
    pasted = request.form.get("job", "")
    raw = pasted.encode("utf-8", "surrogatepass")
    try:
        if not raw.strip():
            raise Rejected("malformed_json", "Paste a signed job first.")
        if len(raw) > LIMIT:
            raise Rejected("body_too_large", f"The job is larger than {LIMIT} bytes.")
        accepted = accept(parse_json(raw), raw, None)
    except Rejected as refusal:
        return _form(422, pasted, refusal)
    return redirect(url_for("portal.job", job_id=accepted.job_id, said="submitted"), 303)


def _form(
    status: int = 200, pasted: str = "", refusal: Rejected | None = None, earlier: Again | None = None
) -> Response:
    catalogue = services().catalogue
    return page(
        "submit.html",
        status,
        regions=[catalogue.regions[name] for name in in_order(catalogue.regions)],
        models=catalogue.models,
        chosen_models=earlier.models if earlier else {catalogue.default_model},
        questions=catalogue.questions,
        limits={"calls": MAX_CALLS, "runs": MAX_RUNS, "minutes": MAX_TIMEOUT // (60 * NANOSECONDS)},
        pasted=Exact(pasted),
        again=earlier,
        exact=Exact,
        refusal=refusal,
    )
