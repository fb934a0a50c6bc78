"""Compare regions: what the analysis found, and the answers to one question of one model side by side."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import request, url_for
from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, page
from runner_api.portal.files import file_name
from runner_api.views import analysis, comparison, grid, map_order, verdicts
from runner_api.views.drawn import drawn
from runner_api.views.strip import Line, strip
from runner_core.comparison.cells import cells_of
from runner_core.comparison.export import export
from runner_core.comparison.material import Material
from runner_core.errors import NotFound
from runner_core.method_page import SCRIPT, method_file
from runner_core.queries import Row
from runner_core.served_changes import served_changes
from runner_core.statuses import in_order, verdict
from runner_core.store import analyses
from runner_core.store.analyses import Snapshot
from runner_core.store.detected import as_analysed

MOST_CHANGES = 10  # that the page lists
FOLD = 1200  # characters of an answer from which on the answers are folded
EVERY = 4  # seconds between two looks of a page that waits for its analysis
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@blueprint.get("/jobs/<job_id>/compare")
def compare(job_id: str) -> Response:
    """Show the analysis, and the answers that the query names: model, question, and the region to compare with.

    `at` names an earlier analysis by the SHA-256 of its input; `show` and `order` narrow and order the map.
    """
    at = request.args.get("at", "")
    input_sha256 = bytes.fromhex(at) if _SHA256.fullmatch(at) else None
    with services().db.transaction() as conn:
        found = analyses.newest(conn, job_id, input_sha256=input_sha256)
        snapshot = analyses.whole(conn, job_id)
        if snapshot is not None:
            models, questions = grid.models_of(snapshot.job["plan"]), snapshot.job["questions"]
            model, question = _chosen("model", models), _chosen("question", [one["id"] for one in questions])
            asked = as_analysed(conn, _only(snapshot, model, question))
    if found is None or snapshot is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    if input_sha256 is not None and found["method"] is None:
        raise NotFound(detail=f"There is no analysis {at} of the job {job_id}.")
    job, rows = snapshot.job, asked.calls
    regions = in_order(job["plan"])
    answered = [region for region in regions if any(r["region"] == region and comparison.response(r) for r in rows)]
    base = _chosen("base", answered) if answered else None
    document = export(job, rows, asked.labels, scores=asked.scores, judge=asked.judge)
    state, why = analysis.state_of(found)
    shown = found["result"] if state == "ready" or input_sha256 is not None else None
    about = verdicts.of_question(shown, model, question) if shown else None
    controls = (job["analysis"] or {}).get("controls", ())
    whole = (
        verdicts.heat_map(shown, questions, models)
        if shown
        else verdicts.answer_map(snapshot.calls, questions, models, controls)
    )
    show, order = _chosen("show", map_order.SHOWS), _chosen("order", map_order.ORDERS)
    heat = map_order.narrowed(whole, show, order)
    sides = comparison.sides(regions, rows, document["executions"], base)
    kept = {name: value for name in ("base", "show", "order", "at") if (value := request.args.get(name))}

    def address(**changes: str | None) -> str:
        return _address(job_id, {"model": model, "question": question, **kept, **changes})

    def href_of(question: str, model: str) -> str:
        return _address(job_id, {"model": model, "question": question, **kept}, anchor="side")

    return page(
        "compare.html",
        job=job,
        verdict=verdict(job["status"], job["cross_status"], job["failed_units"]),
        questions=questions,
        models=models,
        model=model,
        question=next(one for one in questions if one["id"] == question),
        base=base,
        answered=answered,
        sides=sides,
        longest=max((len(text.text) for side in sides for text in side.texts), default=0),
        fold=FOLD,
        changes=served_changes(snapshot.calls),
        most_changes=MOST_CHANGES,
        **drawn(shown, models, snapshot.units, services().catalogue.plain),
        heat=heat,
        show=show,
        order=order,
        numbers=map_order.numbers(whole),
        around=map_order.around(heat, question, model),
        kept=kept,
        address=address,
        href_of=href_of,
        report_name=file_name(f"{job_id}-report.html"),
        analysis=found,
        current=analysis.is_current(found),
        state=state,
        why=why,
        every=EVERY if state == "pending" and input_sha256 is None else 0,
        about=about,
        mark=verdicts.MARKS[about["verdict"]] if about else None,
        # The means of an earlier analysis are not those of these answers.
        strip=_strip(about, document, model, question) if about and analysis.is_current(found) else [],
    )


@blueprint.get("/recompute.py")
def recompute_script() -> Response:
    """Serve the script that computes every number of an analysis again from an export."""
    return Response(method_file(SCRIPT).read_text("utf-8"), content_type="text/x-python; charset=utf-8")


def _address(job_id: str, query: Mapping[str, Any], anchor: str | None = None) -> str:
    return url_for("portal.compare", job_id=job_id, _anchor=anchor, **query)


def _strip(about: Mapping[str, Any], document: Row, model: str, question: str) -> list[Line]:
    cells = cells_of(Material.of_export(document))[model][question]
    return strip(about, {region: cell.sets for region, cell in cells.items()})


def _only(snapshot: Snapshot, model: str, question: str) -> Snapshot:
    """Return the snapshot with the calls of one question of one model."""
    calls = [row for row in snapshot.calls if (row["model_id"], row["question_id"]) == (model, question)]
    return replace(snapshot, calls=calls)


def _chosen(name: str, among: Sequence[str]) -> str:
    asked = request.args.get(name, "")
    return asked if asked in among else among[0]
