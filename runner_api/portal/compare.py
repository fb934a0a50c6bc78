"""Compare regions: a heat map of the job, and one question of one model side by side."""

from collections.abc import Sequence

from flask import request
from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, page
from runner_api.views import comparison, grid
from runner_core import queries
from runner_core.errors import NotFound
from runner_core.queries import Row
from runner_core.served_changes import served_changes
from runner_core.statuses import in_order, verdict

MOST_CHANGES = 10  # that the page lists


@blueprint.get("/jobs/<job_id>/compare")
def compare(job_id: str) -> Response:
    """Show the comparison that the query names: model, question, run, and the region to compare the others with."""
    with services().db.transaction() as conn:
        job, extra = queries.row(conn, "reads.job", job_id=job_id), queries.row(conn, "portal.job", job_id=job_id)
        rows = queries.rows(conn, "reads.rows", job_id=job_id)
    if job is None or extra is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    regions, models = in_order(job["plan"]), grid.models_of(job["plan"])
    ids = [question["id"] for question in extra["questions"]]
    model = _chosen("model", models)
    question = _chosen("question", ids)
    run = int(_chosen("run", [str(n) for n in range(1, extra["runs"] + 1)]))
    cells = {row["region"]: row for row in rows if _is(row, model, question, run)}
    answered = [region for region in regions if comparison.response(cells.get(region))]
    base = _chosen("base", answered) if answered else None
    compared_with = cells.get(base) if base else None
    return page(
        "compare.html",
        job=job,
        verdict=verdict(job["status"], job["cross_status"]),
        questions=extra["questions"],
        models=models,
        runs=extra["runs"],
        model=model,
        question=next(q for q in extra["questions"] if q["id"] == question),
        run=run,
        base=base,
        answered=answered,
        answers=[comparison.answer_of(region, cells.get(region), compared_with) for region in regions],
        changes=served_changes(rows),
        most_changes=MOST_CHANGES,
        heat=[(q, [comparison.similarity(rows, name, q["id"]) for name in models]) for q in extra["questions"]],
    )


def _chosen(name: str, among: Sequence[str]) -> str:
    asked = request.args.get(name, "")
    return asked if asked in among else among[0]


def _is(row: Row, model: str, question: str, run: int) -> bool:
    return bool(row["model_id"] == model and row["question_id"] == question and row["run_no"] == run)
