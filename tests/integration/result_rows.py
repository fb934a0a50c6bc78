"""The members of results."""

from typing import Any

from tests.integration.api_client import Api

ROW = {
    "id",
    "execution_id",
    "job_id",
    "region",
    "model_id",
    "question_id",
    "status",
    "provider_id",
    "started_at",
    "completed_at",
    "created_at",
    "duration_ms",
    "output",
    "error",
    "error_detail",
    "has_receipt",
    "retry_count",
}
CALL = ROW | {"question_key", "served", "sent", "waited_ms", "answered_ms", "paid", "errors"}  # of one call
EXECUTION = ROW | {"served", "answered_ms"}  # of one model in one region


def rows_of(api: Api, job_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = api.get(f"/jobs/{job_id}/executions/all")["executions"]
    return sorted(rows, key=lambda r: (r["region"], r["model_id"], r["question_id"] or "", r.get("run_no", 1)))
