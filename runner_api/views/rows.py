"""Turn rows of jobs and results into the API's JSON objects: the fields of the contract and no others."""

import json
from collections.abc import Mapping
from typing import Any

from runner_api.views import Row
from runner_core.regions import PROMPT_ID

SHARED = (
    "id",
    "execution_id",
    "job_id",
    "region",
    "model_id",
    "status",
    "provider_id",
    "started_at",
    "completed_at",
    "created_at",
    "duration_ms",
    "has_receipt",
    "retry_count",
)

PROVENANCE = ("served", "sent", "waited_ms", "answered_ms", "paid", "errors")  # of a call


def listed(row: Row) -> dict[str, Any]:
    """Return the JSON object of a job in a list."""
    models = dict.fromkeys(model for region in row["plan"].values() for model in region)
    return {
        "id": row["id"],
        "status": row["status"],
        "cross_region_status": row["cross_status"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "regions": list(row["plan"]),
        "models": list(models),
    }


def job_of(job: Row) -> dict[str, Any]:
    """Return the JSON object of one job, without its diagnosis and its executions."""
    return {
        "id": job["id"],
        "status": job["status"],
        "job": json.loads(job["spec_raw"]),
        "cross_region": {
            "id": job["cross_region_execution_id"],
            "jobspec_id": job["id"],
            "total_regions": job["total_regions"],
            "success_count": job["success_count"],
            "failure_count": job["failure_count"],
            "min_regions_required": job["min_regions_required"],
            "min_success_rate": job["min_success_rate"],
            "status": job["cross_status"],
            "started_at": job["cross_started_at"],
            "completed_at": job["cross_completed_at"],
            "duration_ms": job["duration_ms"],
            "enable_analysis": job["enable_analysis"],
        },
        "progress": {
            "total": job["total"],
            "completed": job["completed"],
            "failed": job["failed"],
            "cancelled": job["cancelled"],
            "running": job["running"],
            "pending": job["total"] - job["completed"] - job["failed"] - job["cancelled"] - job["running"],
            "answers": {"total": job["calls"], "done": job["calls_done"], "calls": job["calls_made"]},
        },
        "version": job["version"],
        "created_at": job["created_at"],
        "updated_at": job["updated_at"],
        "started_at": job["started_at"],
        "completed_at": job["completed_at"],
    }


def result(row: Row) -> dict[str, Any]:
    """Return the JSON object of one planned call. `question_key` is the question's id that seeds and receipts use."""
    shown = {name: row[name] for name in (*SHARED, *PROVENANCE)}
    shown["question_id"], shown["question_key"] = question_of(row["question_id"]), row["question_id"]
    if row["runs"] > 1:
        shown["run_no"] = row["run_no"]
    return shown | _outcome(row)


def execution(row: Row) -> dict[str, Any]:
    """Return the JSON object of an execution: one model in one region, with all its questions."""
    return {name: row[name] for name in (*SHARED, "answered_ms", "served")} | {"question_id": None} | _outcome(row)


def answer(row: Row) -> dict[str, Any]:
    """Return the JSON object of a call with its tries. `lost_calls` are requests without a stored result."""
    names = {"question_id": question_of(row["question_id"]), "question_key": row["question_id"]}
    return {**row, **names, "error": sentence(row["error_detail"])}


def question_of(question_id: str | None) -> str | None:
    """Return the question's id for clients, None for the prompt of a job without questions."""
    return None if question_id == PROMPT_ID else question_id


def sentence(error: Mapping[str, Any] | None) -> str | None:
    """Return the message of an error object, None without one."""
    return None if error is None else str(error.get("message") or error.get("code") or "failed")


def _outcome(row: Row) -> dict[str, Any]:
    error = row["error_detail"]
    return {"output": row["output"], "error": sentence(error), "error_detail": error}
