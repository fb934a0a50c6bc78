"""Export a job's answers as a file: CSV for spreadsheets, JSON for programs."""

import csv
import io
import re
from typing import Any

from flask import Response

from runner_api.http.services import services
from runner_api.http.wire import dumps, timestamp
from runner_api.portal.blueprint import blueprint
from runner_api.views.rows import question_of
from runner_core import queries
from runner_core.comparison.export import export
from runner_core.errors import NotFound
from runner_core.queries import Row
from runner_core.served_changes import sentences_by_place, sentences_of, served_changes

COLUMNS = (
    *("job_id", "question_id", "question", "model_id", "region", "run_no", "status", "refused", "simulated"),
    *("duration_ms", "total_tokens", "characters", "provider_id", "completed_at", "response", "error_code", "error"),
    *("question_key", "served_model", "fingerprint", "service_tier", "upstream", "geography", "request_id", "sent"),
    *("waited_ms", "answered_ms", "paid", "refusal_source", "filter", "filter_words", "partial", "thoughts"),
    "served_model_changed",
)
# A sign that begins a formula, also full-width, behind characters that a spreadsheet skips or does not show;
# and the control characters that could move a text into the next cell.
_FORMULA = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


@blueprint.get("/jobs/<job_id>/compare.csv")
def export_csv(job_id: str) -> Response:
    """Export one line for each call."""
    extra, rows = _read(job_id)
    texts = {question["id"]: question["text"] for question in extra["questions"]}
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    changes = sentences_by_place(served_changes(rows))
    for row in rows:
        told = " ".join(sentences_of(row, changes))
        writer.writerow(_plain(value) for value in (*_line(row, texts), *_provenance(row), told or None))
    # The byte order mark tells a spreadsheet that the file is UTF-8.
    return _file(file.getvalue().encode("utf-8-sig"), "text/csv; charset=utf-8", f"{job_id}.csv")


@blueprint.get("/jobs/<job_id>/compare.json")
def export_json(job_id: str) -> Response:
    """Export the document from which a comparison is computed: what was planned and asked, and every call."""
    with services().db.transaction() as conn:
        job = queries.row(conn, "analyses.job", job_id=job_id)
        rows = queries.rows(conn, "reads.rows", job_id=job_id)
        units = queries.rows(conn, "analyses.units", job_id=job_id)
        labels = queries.rows(conn, "labels.newest", job_id=job_id, label_id=None)
    if job is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    return _file(dumps(export(job, rows, labels, units)), "application/json", f"{job_id}.json")


def _read(job_id: str) -> tuple[Row, list[Row]]:
    with services().db.transaction() as conn:
        extra = queries.row(conn, "portal.job", job_id=job_id)
        rows = queries.rows(conn, "reads.rows", job_id=job_id)
    if extra is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    places = [question["id"] for question in extra["questions"]]
    rows.sort(key=lambda r: (places.index(r["question_id"]), r["model_id"], r["region"], r["run_no"]))
    return extra, rows


def _line(row: Row, texts: dict[str, str]) -> list[Any]:
    output, error = row["output"] or {}, row["error_detail"] or {}
    response = output.get("response")
    return [
        *(row["job_id"], question_of(row["question_id"]), texts[row["question_id"]], row["model_id"], row["region"]),
        *(row["run_no"], row["status"], output.get("refused"), output.get("simulated"), row["duration_ms"]),
        (output.get("usage") or {}).get("total_tokens"),
        None if response is None else len(response),
        *(row["provider_id"], timestamp(row["completed_at"]), response, error.get("code"), error.get("message")),
    ]


def _provenance(row: Row) -> list[Any]:
    output, served, error = row["output"] or {}, row["served"] or {}, row["error_detail"] or {}
    return [
        row["question_id"],
        *(served.get(name) for name in ("model", "fingerprint", "service_tier", "upstream", "geography")),
        served.get("request_id"),
        None if row["sent"] is None else dumps(row["sent"]),
        *(row[name] for name in ("waited_ms", "answered_ms", "paid")),
        *(output.get(name) for name in ("refusal_source", "filter", "filter_words")),
        output.get("partial", error.get("partial")),
        output.get("thoughts"),
    ]


def _plain(value: Any) -> Any:
    """Quote a text that begins like a formula: a spreadsheet would run it, and a model may write one."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _file(content: str | bytes, kind: str, name: str) -> Response:
    safe = name.replace(":", "_")
    return Response(content, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{safe}"'})
