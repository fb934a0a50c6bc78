"""Export a job's answers as a file: CSV for spreadsheets, JSON for programs."""

from typing import Any

from flask import Response

from runner_api.http.services import services
from runner_api.http.wire import dumps, timestamp
from runner_api.portal.blueprint import blueprint
from runner_api.portal.files import csv_file, json_file
from runner_api.views.rows import question_of
from runner_core.comparison.export import export
from runner_core.errors import NotFound
from runner_core.queries import Row
from runner_core.served_changes import sentences_by_place, sentences_of, served_changes
from runner_core.store import analyses
from runner_core.store.detected import as_analysed

COLUMNS = (
    *("job_id", "question_id", "question", "model_id", "region", "run_no", "status", "refused", "simulated"),
    *("duration_ms", "total_tokens", "characters", "provider_id", "completed_at", "response", "error_code", "error"),
    *("question_key", "served_model", "fingerprint", "service_tier", "upstream", "geography", "request_id", "sent"),
    *("waited_ms", "answered_ms", "paid", "refusal_source", "filter", "filter_words", "partial", "thoughts"),
    *("served_model_changed", "category", "category_source", "evidence", "language", "words", "seed", "finish_reason"),
    "judge_category",
)


@blueprint.get("/jobs/<job_id>/compare.csv")
def export_csv(job_id: str) -> Response:
    """Export one line for each call."""
    document, rows = _read(job_id)
    texts = {question["question_key"]: question["text"] for question in document["questions"]}
    changes = sentences_by_place(served_changes(rows))
    lines = []
    for row, call in zip(rows, document["executions"], strict=True):
        told = " ".join(sentences_of(row, changes))
        lines.append((*_line(row, texts), *_provenance(row), told or None, *_judged(call)))
    return csv_file(f"{job_id}.csv", COLUMNS, lines)


@blueprint.get("/jobs/<job_id>/compare.json")
def export_json(job_id: str) -> Response:
    """Export the document from which everything of the comparison is computed: the calls as listed, and more."""
    document, _ = _read(job_id)
    return json_file(f"{job_id}.json", document)


def _read(job_id: str) -> tuple[dict[str, Any], list[Row]]:
    """Return the export of a job, and the rows of its calls in the export's order."""
    with services().db.transaction() as conn:
        found = analyses.whole(conn, job_id)
        found = found and as_analysed(conn, found)
    if found is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    document = export(found.job, found.calls, found.labels, found.units, found.scores, found.judge, found.measured)
    by_place = {(r["region"], r["model_id"], r["question_id"], r["run_no"]): r for r in found.calls}
    calls = document["executions"]
    return document, [by_place[c["region"], c["model_id"], c["question_key"], c["run_no"]] for c in calls]


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


def _judged(call: Row) -> list[Any]:
    finish_reason = (call["output"] or {}).get("finish_reason")
    return [
        *(call[name] for name in ("category", "category_source", "evidence", "language", "words", "seed")),
        finish_reason,
        call["judge_category"],
    ]
