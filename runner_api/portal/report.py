"""A job's comparison as one file to hand on: a page without script that needs no network, made of the pages' parts."""

import hashlib
from base64 import b64encode
from datetime import UTC, datetime
from functools import cache
from typing import Any

from flask import Response, render_template, request
from markupsafe import Markup

from runner_api.http.headers import HTML
from runner_api.http.services import services
from runner_api.http.wire import dumps
from runner_api.portal.assets import assets
from runner_api.portal.blueprint import blueprint
from runner_api.portal.files import file_name
from runner_api.views import analysis, grid, map_order, report_answers, verdicts
from runner_api.views.drawn import drawn
from runner_core.comparison.export import export
from runner_core.errors import NotFound
from runner_core.queries import Row
from runner_core.served_changes import served_changes
from runner_core.statuses import in_order, verdict
from runner_core.store import analyses
from runner_core.store.analyses import Snapshot
from runner_core.store.detected import as_analysed

SHEETS = ("portal.css", "comparison.css", "map.css", "report.css")
CHANGED = "The job changed while this report was made, by a retry or by a label. Make the report again."
MOST_CHANGES = 50


@blueprint.get("/jobs/<job_id>/report.html")
def report(job_id: str) -> Response:
    """Serve the report. A browser shows it; the pages' buttons save it."""
    with services().db.transaction() as conn:
        found = analyses.newest(conn, job_id)
        snapshot = analyses.whole(conn, job_id)
        snapshot = snapshot and as_analysed(conn, snapshot)
    if found is None or snapshot is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    style = _style()
    policy = _policy(style)
    html = render_template("report.html", style=Markup(style), policy=policy, **_values(found, snapshot))  # noqa: S704 - our own sheets
    headers = {
        "Content-Disposition": f'inline; filename="{file_name(f"{job_id}-report.html")}"',
        "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
    }
    return Response(html, headers=headers, content_type=HTML)


@cache
def _style() -> str:
    """Return the pages' sheets in one. On paper the layout is the wide one: A4 is as narrow as a phone held across."""
    sheets = "\n".join(assets()[name].data.decode() for name in SHEETS)
    return sheets.replace("@media (max-width", "@media screen and (max-width")


def _policy(style: str) -> str:
    """Return a policy that allows this style sheet and nothing else: also for the file when it is opened elsewhere."""
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _values(found: Row, snapshot: Snapshot) -> dict[str, Any]:
    """Return what the template shows. A result is shown with the answers that it was computed from, or not at all."""
    job = snapshot.job
    questions, models, regions = job["questions"], grid.models_of(job["plan"]), in_order(job["plan"])
    document = export(
        job, snapshot.calls, snapshot.labels, snapshot.units, snapshot.scores, snapshot.judge, snapshot.measured
    )
    state, why = analysis.state_of(found)
    if state == "ready" and (found["of_version"], found["of_label"]) != (job["version"], job["label_id"]):
        state, why = "pending", CHANGED
    result = found["result"] if state == "ready" else None
    heat = (
        verdicts.heat_map(result, questions, models)
        if result
        else verdicts.answer_map(snapshot.calls, questions, models, document["controls"])
    )
    heat = map_order.narrowed(heat, "all", "difference")
    shown, left_out = report_answers.answers(heat, regions, snapshot.calls, document["executions"])
    anchors = {(one.question["id"], one.cell.model): f"#{one.anchor}" for one in shown}
    changes = served_changes(snapshot.calls)
    return {
        "job": job,
        "verdict": verdict(job["status"], job["cross_status"], job["failed_units"]),
        "questions": questions,
        "models": models,
        "regions": regions,
        "model": None,
        "question": {"id": None},
        "heat": heat,
        "href_of": lambda question, model: anchors.get((question, model)),
        "changes": changes[:MOST_CHANGES],
        "more_changes": len(changes) - len(changes[:MOST_CHANGES]),
        **drawn(result, models, snapshot.units, services().catalogue.plain),
        "analysis": found,
        "state": state,
        "why": why,
        "shown": shown,
        "left_out": left_out,
        "most": report_answers.TEXT_CHARACTERS,
        "hashes": _hashes(document, found),
        "site": request.url_root.rstrip("/"),
        "made_at": datetime.now(UTC),
    }


def _hashes(document: Row, found: Row) -> list[tuple[str, str, str]]:
    """Return path, SHA-256 and meaning of each file of the present state, as it is served."""
    path = f"/jobs/{found['job_id']}"
    files = [
        (f"{path}/compare.json", document, "every call with its answer: all numbers are computed from it"),
        (f"{path}/analysis.json", analysis.document(found), "every number of the comparison"),
    ]
    return [(name, hashlib.sha256(dumps(body).encode()).hexdigest(), meaning) for name, body, meaning in files]
