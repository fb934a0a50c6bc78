"""Rows of results as clients know them: the fields of the contract and nothing else."""

from collections.abc import Mapping
from typing import Any

from runner_core.queries import Row
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


def result(row: Row) -> dict[str, Any]:
    """One execution, or one question of one when the job has questions; one run of it when there are several."""
    shown = {name: row[name] for name in SHARED}
    shown["question_id"] = question_of(row.get("question_id"))
    if row.get("runs", 1) > 1:
        shown["run_no"] = row["run_no"]
    shown["output"] = row["output"]
    shown["error"] = sentence(row["error_detail"])
    shown["error_detail"] = row["error_detail"]
    return shown


def answer(row: Row) -> dict[str, Any]:
    """One call of an execution with its tries; `lost_calls` are requests that brought no stored outcome."""
    return {**row, "question_id": question_of(row["question_id"]), "error": sentence(row["error_detail"])}


def question_of(question_id: str | None) -> str | None:
    """The question's id for clients; the prompt of a job without questions has none."""
    return None if question_id == PROMPT_ID else question_id


def sentence(error: Mapping[str, Any] | None) -> str | None:
    """An error object's message."""
    return None if error is None else str(error.get("message") or error.get("code") or "failed")
