"""Turn rows of jobs and results into the API's JSON objects: the fields of the contract and no others."""

import json
from typing import Any

from runner_api.views import Row
from runner_core.call_objects import SHARED, outcome
from runner_core.call_objects import question_of as question_of
from runner_core.call_objects import result as result
from runner_core.call_objects import sentence as sentence


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
        "name": row["name"] or None,
        "submitter": row["submitter"] or None,
        "failed_units": row["failed_units"],
    }


def job_of(job: Row) -> dict[str, Any]:
    """Return the JSON object of one job, without its diagnosis and its executions."""
    return {
        "id": job["id"],
        "name": job["name"] or None,
        "submitter": job["submitter"] or None,
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


def execution(row: Row) -> dict[str, Any]:
    """Return the JSON object of an execution: one model in one region, with all its questions."""
    return {name: row[name] for name in (*SHARED, "answered_ms", "served")} | {"question_id": None} | outcome(row)


def answer(row: Row) -> dict[str, Any]:
    """Return the JSON object of a call with its tries. `lost_calls` are requests without a stored result."""
    names = {"question_id": question_of(row["question_id"]), "question_key": row["question_id"]}
    return {**row, **names, "error": sentence(row["error_detail"])}
