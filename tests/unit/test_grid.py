"""The job as a grid of calls, from rows alone."""

from typing import Any

import pytest

from runner_api.views.grid import Block, Call, blocks, failed_units, models_of, only

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


def grid_of(*rows: dict[str, Any]) -> list[Block]:
    return blocks({"plan": {"US": ["m1", "m2"]}, "status": "running"}, QUESTIONS, rows, {"US"})


REFUSED = row("US", "m2", "q2", output={"refused": True, "response": "I can't.", "characters": 8})


def test_a_cut_answer_ends_with_an_ellipsis() -> None:
    cut = Call(row("US", "m1", "q1", output={"response": "Lima", "characters": 400}), False)
    assert (cut.text, cut.cut, cut.shown) == ("Lima", True, "Lima …")
    whole = Call(row("US", "m1", "q1", output={"response": "Lima", "characters": 4}), False)
    assert (whole.cut, whole.shown) == (False, "Lima")
    assert Call(row("US", "m1", "q1", "failed", output=None), False).shown == ""


def test_a_block_is_quiet_when_all_is_as_hoped() -> None:
    good, refused = grid_of(row("US", "m1", "q1"), row("US", "m2", "q1"), row("US", "m1", "q2"), REFUSED)
    assert (good.quiet, refused.quiet) == (True, False)
    assert refused.counts == {"all": 2, "done": 2, "completed": 2, "failed": 0, "refused": 1}
    waits, _ = grid_of(row("US", "m1", "q1"), row("US", "m2", "q1", "pending"))
    assert not waits.quiet


@pytest.mark.parametrize(
    ("what", "kept"), [("", [(1, 2), (2, 2)]), ("failed", [(1, 1)]), ("refused", [(2, 1)]), ("sanitised", [])]
)
def test_only_the_lines_with_such_a_call_are_kept(what: str, kept: list[tuple[int, int]]) -> None:
    found = grid_of(row("US", "m1", "q1", "failed"), row("US", "m2", "q1"), row("US", "m1", "q2"), REFUSED)
    assert [(block.number, len(block.lines)) for block in only(found, what)] == kept


@pytest.mark.parametrize(
    "change",
    [
        {"status": "failed"},
        {"id": 3},
        {"output": {"response": "Quito"}},
        {"output": {"refused": True}},
        {"retry_count": 1},
        {"duration_ms": 9},
        {"status": "failed", "error_detail": {"code": "http_503"}},
    ],
)
def test_a_tag_changes_with_what_is_shown(change: dict[str, Any]) -> None:
    before, other = grid_of(row("US", "m1", "q1"), row("US", "m1", "q2"))
    after, same = grid_of(row("US", "m1", "q1", **change), row("US", "m1", "q2"))
    assert before.tag != after.tag
    assert other.tag == same.tag
    assert before.tag != other.tag
