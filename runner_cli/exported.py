"""A job's export, `compare.json`, as the commands read it: with the comparison of the same state of the job."""

from typing import Any

from runner_cli.analysed import Analysed, read_analysis
from runner_cli.client import Api, Refused, job_path
from runner_cli.exits import CommandError
from runner_cli.shapes import Shape

TRIES = 3  # to read all of one state
CHANGES = "job {} changes while it is read, by a retry or a label: ask again in a moment"
CALL: Shape = {
    "model_id": str,
    "question_key": str,
    "region": str,
    "run_no": int,
    "id?": int,
    "category?": str,
    "category_source?": str,
    "detected_category?": str,
    "disputed?": bool,
    "language?": str,
    "output?": {"response?": str},
}
EXPORT: Shape = {
    "job_id": str,
    "job_version": int,
    "label_id": int,
    "questions": [{"question_key": str, "text": str}],
    "models": [{"id": str, "regions": [str]}],
    "runs": int,
    "controls": [str],
    "facts": dict,
    "conditions": [dict],
    "executions": [CALL],
}


class Changed(CommandError):
    """The job changes while it is read."""


def read_export(api: Api, job_id: str) -> dict[str, Any]:
    """Read a job's export. Raises Unreachable, Refused."""
    document: dict[str, Any] = api.get(job_path(job_id, "/compare.json", under=""), EXPORT)
    return document


def read_both(api: Api, job_id: str) -> tuple[dict[str, Any], Analysed]:
    """Read the export and the comparison of one state of the job, a comparison that is not ready with any export.

    Raises Changed where the job changes too fast; Unreachable, Refused.
    """
    for _ in range(TRIES):
        analysed, export = read_analysis(api, job_id), read_export(api, job_id)
        state = (export["job_version"], export["label_id"])
        if not analysed.is_ready or state == (analysed.document["job_version"], analysed.document.get("label_id", 0)):
            return export, analysed
    raise Changed(CHANGES.format(job_id))


def read_tables(api: Api, job_id: str) -> tuple[dict[str, Any], Analysed, dict[str, bytes]]:
    """Read what `read_both` does, with the CSV files of the same state by their names.

    There is no `analysis.csv` while there is no comparison. Raises like `read_both`.
    """
    for _ in range(TRIES):
        export, found = read_both(api, job_id)
        names = ("compare.csv", "analysis.csv") if found.is_ready else ("compare.csv",)
        try:
            tables = {name: api.file(job_path(job_id, f"/{name}", under=""), "text/csv") for name in names}
        except Refused as refused:
            if refused.status != 404 or not found.is_ready:
                raise
            continue  # a retry or a label came: there is no comparison now
        if not found.is_ready or read_analysis(api, job_id).document == found.document:
            return export, found, tables
    raise Changed(CHANGES.format(job_id))
