"""The JSON objects of planned calls, as the API lists them and the exports of a comparison hold them."""

from collections.abc import Mapping
from typing import Any

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


def result(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object of one planned call. `question_key` is the question's id that seeds and receipts use."""
    shown = {name: row[name] for name in (*SHARED, *PROVENANCE)}
    shown["question_id"], shown["question_key"] = question_of(row["question_id"]), row["question_id"]
    if row["runs"] > 1:
        shown["run_no"] = row["run_no"]
    return shown | outcome(row)


def question_of(question_id: str | None) -> str | None:
    """Return the question's id for clients, None for the prompt of a job without questions."""
    return None if question_id == PROMPT_ID else question_id


def sentence(error: Mapping[str, Any] | None) -> str | None:
    """Return the message of an error object, None without one."""
    return None if error is None else str(error.get("message") or error.get("code") or "failed")


def outcome(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's output and error, as members of its JSON object."""
    error = row["error_detail"]
    return {"output": row["output"], "error": sentence(error), "error_detail": error}
