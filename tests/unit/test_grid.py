"""The job as a grid of calls, from rows alone."""

from typing import Any

import pytest

from runner_api.views.grid import Call, blocks, failed_units, models_of

PLAN = {"EU": ["m1"], "US": ["m2", "m1"]}
QUESTIONS = [{"id": "q1", "text": "Why?"}, {"id": "q2", "text": "How?"}]


def row(region: str, model: str, question: str, status: str = "completed", **changes: Any) -> dict[str, Any]:
    return {
        "id": 2,
        "execution_id": 1,
        "region": region,
        "model_id": model,
        "question_id": question,
        "run_no": 1,
        "status": status,
        "output": {},
        "retry_count": 0,
        "error_detail": None,
    } | changes


ROWS = [
    row(region, model, question) for region, models in PLAN.items() for model in models for question in ("q1", "q2")
]


def test_models_are_in_the_order_of_the_first_regions() -> None:
    assert models_of(PLAN) == ["m2", "m1"]


def test_a_block_for_each_question_a_line_for_each_model_a_cell_for_each_region() -> None:
    found = blocks({"plan": PLAN, "status": "running"}, QUESTIONS, ROWS, set())
    assert [(block.id, block.text) for block in found] == [("q1", "Why?"), ("q2", "How?")]
    assert [line.model for line in found[0].lines] == ["m2", "m1"]
    us, eu = found[0].lines[0].cells
    assert us is not None
    assert eu is None, "m2 is not planned in EU"
    assert [call.state for call in us] == ["completed"]


def test_runs_are_in_order() -> None:
    rows = [row("US", "m1", "q1", run_no=number) for number in (10, 2, 1)]
    (block,) = blocks({"plan": {"US": ["m1"]}, "status": "running"}, QUESTIONS[:1], rows, set())
    (cell,) = block.lines[0].cells
    assert cell is not None
    assert [call.row["run_no"] for call in cell] == [1, 2, 10]


@pytest.mark.parametrize(
    ("statuses", "finished", "failed"),
    [
        (("failed", "failed"), True, True),
        (("failed", "failed"), False, False),
        (("failed", "completed"), True, False),
        (("failed", "cancelled"), True, True),
        (("cancelled", "cancelled"), True, False),
    ],
)
def test_a_unit_has_failed_in_an_ended_region_without_one_usable_answer(
    statuses: tuple[str, str], finished: bool, failed: bool
) -> None:
    rows = [row("US", "m1", question, status) for question, status in zip(("q1", "q2"), statuses, strict=True)]
    assert failed_units(rows, {"US"} if finished else set()) == ({("US", "m1")} if failed else set())


@pytest.mark.parametrize(("status", "retryable"), [("failed", True), ("cancelled", False)])
def test_only_a_failed_call_of_a_job_that_was_not_cancelled_can_be_retried(status: str, retryable: bool) -> None:
    rows = [row("US", "m1", "q1", "failed")]
    (block,) = blocks({"plan": {"US": ["m1"]}, "status": status}, QUESTIONS[:1], rows, {"US"})
    (cell,) = block.lines[0].cells
    assert cell is not None
    assert cell[0].retryable is retryable


def test_what_a_call_shows() -> None:
    call = Call(row("US", "m1", "q1", output={"refused": True, "simulated": True}, retry_count=2), False)
    assert (call.anchor, call.badges, call.tries, call.code) == ("call-2", ["refused", "simulated"], 3, "")
    failed = Call(row("US", "m1", "q1", "failed", id=1, output=None, error_detail={"code": "timeout"}), True)
    assert (failed.anchor, failed.badges, failed.tries, failed.code) == (None, [], 0, "timeout")
