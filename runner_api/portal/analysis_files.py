"""Export a job's analysis as a file: every number of it."""

from flask import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint
from runner_api.portal.files import csv_file, json_file
from runner_api.views import analysis as views
from runner_api.views.analysis_lines import COLUMNS, lines
from runner_core.errors import NotFound
from runner_core.queries import Row
from runner_core.store import analyses


@blueprint.get("/jobs/<job_id>/analysis.json")
def export_analysis_json(job_id: str) -> Response:
    """Export the newest analysis as the API answers it."""
    return json_file(f"{job_id}-analysis.json", views.document(_read(job_id)))


@blueprint.get("/jobs/<job_id>/analysis.csv")
def export_analysis_csv(job_id: str) -> Response:
    """Export one line for each number of the newest analysis. 404 with a sentence while there is none."""
    row = _read(job_id)
    state, why = views.state_of(row)
    if state != "ready":
        raise NotFound(detail=why)
    return csv_file(f"{job_id}-analysis.csv", COLUMNS, lines(row["result"]))


def _read(job_id: str) -> Row:
    with services().db.statement() as conn:
        row = analyses.newest(conn, job_id)
    if row is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    return row
