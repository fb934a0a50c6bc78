"""Label answers: a person says what an answer is, and sees neither region, model nor anybody's label."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import administrator, blueprint, form_sender, page
from runner_api.verbs.label import label_answer
from runner_api.views.disputes import Disputes
from runner_core import queries
from runner_core.comparison.sampling import DEFAULT_SIZE, MAX_SIZE, order, sample
from runner_core.errors import NotFound, Rejected
from runner_core.queries import Row
from runner_core.refusals import CATEGORIES
from runner_core.store import analyses
from runner_core.store.analyses import Snapshot, State
from runner_core.store.detected import as_analysed

MAX_NOTE = 2000  # characters
PAGE = 1000  # labels that are read at a time
DISPUTES = Disputes()  # one for all requests of this process, which it may keep in memory
EXPLAINED = {
    "answer": "It answers; also with a disclaimer, or by correcting what the question takes for granted.",
    "hard_refusal": "It declines, and gives nothing substantial.",
    "partial_refusal": "It declines a part, and answers a part.",
    "deflection": "It speaks of something else, sends the reader elsewhere, or stays with a platitude.",
    "non_answer": "It says nothing: empty, an echo of the question, a loop, cut off, or “I don't know”.",
    "content_filter": "A notice of the provider's filter stands in its place.",
}


@dataclass(frozen=True)
class Queue:
    """A person's sample of a job's answers in this person's order, and those that the person has labelled."""

    answers: list[int]
    done: set[int]

    @property
    def labelled(self) -> int:
        """The number of answers of the sample that the person has labelled."""
        return sum(answer in self.done for answer in self.answers)

    def next(self, behind: int) -> int | None:
        """Return the place, from 1, of the first answer without a label behind a place, else of the first at all."""
        left = [place for place, answer in enumerate(self.answers, 1) if answer not in self.done]
        return next((place for place in left if place > behind), left[0] if left else None)


@blueprint.get("/jobs/<job_id>/label")
def label(job_id: str) -> Response:
    """Show one answer of the sample with its question, and ask what it is."""
    actor, _ = administrator()
    size = _number("sample", DEFAULT_SIZE)
    job, rows, disputed = _read(job_id, size)
    queue = _queue(job_id, actor.name, rows, size, disputed)
    place = queue.next(_number("behind", 0))
    answer = queue.answers[place - 1] if place else None
    row = next((row for row in rows if row["id"] == answer), None)
    texts = {question["id"]: question["text"] for question in job["questions"]}
    return page(
        "label.html",
        job=job,
        size=size,
        queue=queue,
        place=place,
        answer=answer,
        question=texts[row["question_id"]] if row else "",
        text=row["output"]["response"] if row else "",
        categories=EXPLAINED,
        largest=MAX_SIZE,
        most=MAX_NOTE,
    )


@blueprint.post("/jobs/<job_id>/label")
def do_label(job_id: str) -> Response:
    """Store the label, and go on with the next answer."""
    actor = form_sender()
    category, note = request.form.get("category", ""), request.form.get("note", "").strip()
    answer = request.form.get("answer", "")
    if category not in CATEGORIES:
        raise Rejected("validation_error", "Choose what the answer is.")
    if len(note) > MAX_NOTE:
        raise Rejected("validation_error", f"A note has at most {MAX_NOTE:,} characters.")
    if not (answer.isascii() and answer.isdigit() and len(answer) < 19):
        raise Rejected("validation_error", "This form names no answer. Go back and load the page again.")
    label_answer(services().db, int(answer), category, note, actor)
    size, place = _number("sample", DEFAULT_SIZE), _number("behind", 0)
    return redirect(url_for("portal.label", job_id=job_id, sample=size, behind=place), 303)


def _read(job_id: str, size: int) -> tuple[Row, list[Row], set[int]]:
    """Return a job, its calls whose answer has a text, and the answers of the sample that are disputed."""
    with services().db.transaction() as conn:
        job = queries.row(conn, "analyses.job", job_id=job_id)
        if job is None:
            raise NotFound(detail=f"There is no job {job_id}.")
        rows = [row for row in queries.rows(conn, "reads.rows", job_id=job_id) if _has_text(row)]
        chosen = set(sample(job_id, (row["id"] for row in rows), size))
        state = State(job_id, job["version"], job["label_id"])
        found = as_analysed(conn, Snapshot(state, job, [row for row in rows if row["id"] in chosen], [], []))
    texts = {question["id"]: question["text"] for question in job["questions"]}
    return job, rows, DISPUTES.among(found.calls, texts, found.scores or {})


def _has_text(row: Row) -> bool:
    """Return whether a call has a text that a person can label."""
    return row["status"] == "completed" and bool(_text(row).strip())


def _text(row: Row) -> str:
    text: str | None = (row["output"] or {}).get("response")
    return text or ""


def _queue(job_id: str, person: str, rows: Sequence[Row], size: int, disputed: Collection[int]) -> Queue:
    done: set[int] = set()
    after: int | None = 0
    with services().db.transaction() as conn:
        while after is not None:
            found = analyses.labels(conn, job_id, after, PAGE)
            done |= {one["answer_id"] for one in found if one["source"] == "human" and one["actor"] == person}
            after = found[-1]["id"] if len(found) == PAGE else None
    return Queue(order(job_id, person, sample(job_id, (row["id"] for row in rows), size), disputed), done)


def _number(name: str, otherwise: int) -> int:
    """Return a whole number of the query or the form, at most the largest sample; `otherwise` without one."""
    text: str = request.values.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    return min(number, MAX_SIZE) or otherwise
