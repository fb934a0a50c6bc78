"""The API's JSON objects of jobs and results, from rows alone."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from runner_api.views.rows import answer, execution, job_of, listed, question_of, result, sentence
from runner_core.regions import PROMPT_ID

AT = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def row(**changes: Any) -> dict[str, Any]:
    """A row of a result, with a column that the contract does not have."""
    return {
        "id": 7,
        "execution_id": 3,
        "job_id": "j",
        "region": "US",
        "model_id": "m1",
        "status": "failed",
        "provider_id": "p",
        "started_at": AT,
        "completed_at": AT,
        "created_at": AT,
        "duration_ms": 5,
        "has_receipt": False,
        "retry_count": 1,
        "question_id": "q1",
        "run_no": 1,
        "runs": 1,
        "served": None,
        "sent": {"seed": 7},
        "waited_ms": 2,
        "answered_ms": 3,
        "paid": "yes",
        "errors": [],
        "output": None,
        "error_detail": {"code": "timeout", "message": "It took too long."},
        "internal": "not for clients",
    } | changes


def test_a_result_has_the_fields_of_the_contract_and_no_others() -> None:
    shown = result(row())
    assert "internal" not in shown
    assert "run_no" not in shown, "only where a job has several runs"
    assert (shown["error"], shown["question_id"]) == ("It took too long.", "q1")
    assert result(row(runs=2))["run_no"] == 1
    assert (shown["sent"], shown["waited_ms"], shown["answered_ms"], shown["paid"]) == ({"seed": 7}, 2, 3, "yes")


def test_an_execution_is_not_one_question_and_lists_who_served_it() -> None:
    shown = execution(row(served=[{"model": "gpt-5"}]))
    assert (shown["question_id"], shown["served"], shown["answered_ms"]) == (None, [{"model": "gpt-5"}], 3)
    assert not {"internal", "sent", "question_key", "run_no"} & set(shown)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, None),
        ({"code": "timeout", "message": "It took too long."}, "It took too long."),
        ({"code": "timeout", "message": ""}, "timeout"),
        ({}, "failed"),
    ],
)
def test_an_error_is_one_sentence(error: dict[str, Any] | None, text: str | None) -> None:
    assert sentence(error) == text


def test_the_prompt_of_a_job_without_questions_has_no_id() -> None:
    assert (question_of(PROMPT_ID), question_of("q1"), question_of(None)) == (None, "q1", None)
    assert answer(row(question_id=PROMPT_ID))["question_id"] is None


def test_the_question_key_is_the_id_that_seeds_and_receipts_use() -> None:
    prompt = row(question_id=PROMPT_ID)
    assert (result(prompt)["question_key"], answer(prompt)["question_key"]) == ("prompt", "prompt")
    assert result(row())["question_key"] == "q1"


def test_a_listed_job_names_each_model_once() -> None:
    job = {
        "id": "j",
        "status": "completed",
        "cross_status": "partial",
        "created_at": AT,
        "updated_at": AT,
        "plan": {"EU": ["m2", "m1"], "US": ["m1"]},
        "units": None,
        "name": "nightly",
        "submitter": "",
        "failed_units": 1,
    }
    shown = listed(job)
    assert (shown["name"], shown["submitter"], shown["failed_units"]) == ("nightly", None, 1)
    assert (shown["regions"], shown["models"]) == (["EU", "US"], ["m2", "m1"])
    assert shown["cross_region_status"] == "partial"
    assert "plan" not in shown


def test_a_job_counts_its_pending_units_and_shows_the_received_document() -> None:
    numbers = {"total": 6, "completed": 2, "failed": 1, "cancelled": 1, "running": 1}
    calls = {"calls": 12, "calls_done": 5, "calls_made": 7}
    names = ("cross_region_execution_id", "total_regions", "success_count", "failure_count", "min_regions_required")
    more = ("min_success_rate", "cross_status", "cross_started_at", "cross_completed_at", "duration_ms")
    times = ("created_at", "updated_at", "started_at", "completed_at", "enable_analysis", "version", "status")
    names += ("name", "submitter")
    job = dict.fromkeys((*names, *more, *times)) | numbers | calls
    shown = job_of(job | {"id": "j", "spec_raw": json.dumps({"id": "j", "note": "ü"})})
    assert shown["progress"]["pending"] == 1
    assert shown["progress"]["answers"] == {"total": 12, "done": 5, "calls": 7}
    assert shown["job"] == {"id": "j", "note": "ü"}
    assert shown["cross_region"]["jobspec_id"] == "j"
