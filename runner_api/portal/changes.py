"""Pages that change something, for administrators: each asks on a page of its own, and its form carries it out."""

import uuid

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import administrator, blueprint, form_sender, page
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.republish import republish_job, republish_row
from runner_api.verbs.retry import Wanted, retry_job
from runner_api.views.failures import units_of
from runner_api.views.grid import failed_units
from runner_api.views.words import brief, counted
from runner_core import queries
from runner_core.errors import NotFound
from runner_core.queries import Row
from runner_core.statuses import verdict


@blueprint.get("/jobs/<job_id>/cancel")
def ask_cancel(job_id: str) -> Response:
    """Ask whether to cancel the job."""
    administrator()
    job = _job(job_id)
    return page(
        "confirm.html",
        title="Cancel this job?",
        job=job,
        points=[
            f"Results so far: {job['completed'] + job['failed']} of {counted(job['total'], 'unit')}. They stay.",
            "Every other unit is cancelled. Running calls are stopped, and their answers are lost; the provider may "
            "still charge for them.",
            "A cancelled job can't be retried.",
        ],
        button="Cancel the job",
        dangerous=True,
        back=url_for("portal.job", job_id=job_id),
    )


@blueprint.post("/jobs/<job_id>/cancel")
def do_cancel(job_id: str) -> Response:
    """Cancel the job."""
    cancel_job(services().db, job_id, form_sender(), uuid.uuid4().hex)
    return _to_job(job_id, "cancelled")


@blueprint.get("/jobs/<job_id>/retry")
def ask_retry(job_id: str) -> Response:
    """Ask whether to retry the failed units, or some of them."""
    administrator()
    wanted, code = _wanted(), _code()
    job = _job(job_id)
    question = _question(job_id, wanted.question_id) if wanted.question_id else None
    units = len(_units(job, code)) if code else 0
    parts = [part for part in (question, wanted.model_id, wanted.region) if part]
    what = " · ".join(parts) if parts else f"what failed with {code}" if code else "everything that failed"
    return page(
        "confirm.html",
        title=f"Retry {what}?",
        job=job,
        points=[
            *(
                [f"{counted(units, 'unit')} had such a failure; each runs again with all its failed calls."]
                if code
                else []
            ),
            "Only failed units run again; what has completed is never asked a second time.",
            "The earlier results are kept in the job's timeline.",
            "Each new call is paid for.",
        ],
        button="Retry",
        dangerous=False,
        back=url_for("portal.job", job_id=job_id),
        fields={name: value for name, value in {**vars(wanted), "code": code}.items() if value},
    )


@blueprint.post("/jobs/<job_id>/retry")
def do_retry(job_id: str) -> Response:
    """Retry the failed units."""
    actor, wanted = form_sender(), _wanted()
    if code := _code():
        wanted = Wanted(units=tuple(_units(_job(job_id), code)), code=code)
    retry_job(services().db, job_id, wanted, actor, uuid.uuid4().hex)
    return _to_job(job_id, "retried")


@blueprint.get("/jobs/<job_id>/republish")
def ask_republish_job(job_id: str) -> Response:
    """Ask whether to send the waiting regions of a job again."""
    administrator()
    return page(
        "confirm.html",
        title="Send this job's waiting regions again?",
        job=_job(job_id),
        points=["If an earlier message still arrives, it does no harm: only one of the two can claim the region."],
        button="Send again",
        dangerous=False,
        back=url_for("portal.job", job_id=job_id),
    )


@blueprint.post("/jobs/<job_id>/republish")
def do_republish_job(job_id: str) -> Response:
    """Send every region that no worker holds again."""
    republish_job(services().db, job_id, form_sender(), uuid.uuid4().hex)
    return _to_job(job_id, "republished")


@blueprint.get("/operations/dead/<int(max=999999999999999999):row_id>")
def ask_republish(row_id: int) -> Response:
    """Ask whether to send a dead message again."""
    administrator()
    with services().db.transaction() as conn:
        message = queries.row(conn, "reads.outbox_row", outbox_id=row_id)
    if message is None:
        raise NotFound(detail=f"There is no outbox row {row_id}.")
    return page(
        "confirm.html",
        title=f"Send message {row_id} again?",
        job=_job(message["job_id"]),
        points=[
            f"It is a message for {message['topic']}.",
            "If its region has ended as undeliverable, the region is reopened as a retry.",
        ],
        button="Send again",
        dangerous=False,
        back=url_for("portal.operations"),
    )


@blueprint.post("/operations/dead/<int(max=999999999999999999):row_id>")
def do_republish(row_id: int) -> Response:
    """Send the region of the message again."""
    job_id, _ = republish_row(services().db, row_id, form_sender(), uuid.uuid4().hex)
    return _to_job(job_id, "republished")


def _wanted() -> Wanted:
    """Return the region, model and question of the query or the form. None of them means all."""
    region, model_id, question_id = (
        request.values.get(name, "")[:255] or None for name in ("region", "model_id", "question_id")
    )
    return Wanted(region, model_id, question_id)


def _code() -> str:
    """Return the error code whose units are wanted, empty for any."""
    return request.values.get("code", "")[:64]


def _units(job: Row, code: str) -> list[tuple[str, str]]:
    """Return the (region, model) that a retry can run again and that have a call which failed with this code."""
    with services().db.transaction() as conn:
        rows = queries.rows(conn, "portal.calls", job_id=job["id"], characters=0)
        regions = queries.rows(conn, "portal.regions", job_id=job["id"])
    finished = {region["region"] for region in regions if region["finished_at"]}
    return units_of(rows, code, failed_units(rows, finished))


def _job(job_id: str) -> Row:
    with services().db.transaction() as conn:
        found = queries.row(conn, "reads.job", job_id=job_id)
    if found is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    return {**found, "verdict": verdict(found["status"], found["cross_status"], found["failed"])}


def _question(job_id: str, question_id: str) -> str:
    """Return a question of the job in a few words, isolated from the words around it (U+2068, U+2069).

    For a question that the job does not have, return its id.
    """
    with services().db.transaction() as conn:
        extra = queries.row(conn, "portal.job", job_id=job_id)
    texts = {question["id"]: question["text"] for question in (extra or {"questions": []})["questions"]}
    return f"\u2068{brief(question_id, texts.get(question_id, question_id))}\u2069"


def _to_job(job_id: str, notice: str) -> Response:
    return redirect(url_for("portal.job", job_id=job_id, said=notice), 303)
