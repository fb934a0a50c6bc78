"""Labels: what people say that answers are."""

from flask import Blueprint, Response

from runner_api.contract.analysis_schemas import LabelBody
from runner_api.http.auth import admin, is_administrator
from runner_api.http.body import read_json
from runner_api.http.paging import number
from runner_api.http.services import services
from runner_api.http.wire import reply
from runner_api.verbs.label import label_answer
from runner_core import queries
from runner_core.errors import NotFound
from runner_core.job_shapes import validated
from runner_core.store import analyses

blueprint = Blueprint("labels", __name__)
MAX_PAGE = 1000
OPEN = ("id", "answer_id", "category", "source", "at")  # what everybody may read of a label


@blueprint.post("/answers/<int(max=9223372036854775807):answer_id>/labels")
def add_label(answer_id: int) -> Response:
    """Say what an answer is. The label counts before the rules' category and before earlier labels, which are kept."""
    actor = admin()
    _, body = read_json()
    label = validated(LabelBody, body)
    return reply(label_answer(services().db, answer_id, label.category, label.note or "", actor), 201)


@blueprint.get("/jobs/<job_id>/labels")
def list_labels(job_id: str) -> Response:
    """List the labels of a job's answers, oldest first. With an administrator's token also who gave them, and notes."""
    limit, after = number("limit", MAX_PAGE, 1, MAX_PAGE), number("after", 0, 0, 10**18 - 1)
    with services().db.transaction() as conn:
        job = queries.row(conn, "reads.version", job_id=job_id)
        found = analyses.labels(conn, job_id, after, limit)
    if job is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    shown = found if is_administrator() else [{name: label[name] for name in OPEN} for label in found]
    return reply({"labels": shown, "next_after": found[-1]["id"] if len(found) == limit else None})
