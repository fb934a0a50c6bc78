"""The way from one unit of a job to the others."""

from typing import Any

from runner_api.views.units import Unit, around, elsewhere

PLAN = {"EU": ["m1", "m2"], "US": ["m1"]}


def unit(number: int, region: str, model: str) -> dict[str, Any]:
    return {"id": number, "region": region, "model_id": model, "status": "completed"}


def test_units_follow_each_other_as_in_the_grid() -> None:
    ended = [unit(3, "EU", "m2"), unit(2, "EU", "m1"), unit(1, "US", "m1")]
    assert around(PLAN, ended, "US", "m1") == [None, Unit(2, "EU", "m1")]
    assert around(PLAN, ended, "EU", "m1") == [Unit(1, "US", "m1"), Unit(3, "EU", "m2")]
    assert around(PLAN, ended, "EU", "m2") == [Unit(2, "EU", "m1"), None]


def test_units_that_have_not_ended_are_left_out() -> None:
    assert around(PLAN, [unit(3, "EU", "m2"), unit(1, "US", "m1")], "US", "m1") == [None, Unit(3, "EU", "m2")]
    assert around(PLAN, [], "US", "m1") == [None, None]


def test_the_same_call_elsewhere_is_in_the_order_of_regions() -> None:
    calls = [{"id": n, "region": r, "question_id": "q1", "run_no": 1} for n, r in enumerate(("ASIA", "US", "EU"))]
    found = elsewhere([*calls, {"id": 9, "region": "EU", "question_id": "q1", "run_no": 2}], "EU")
    assert [row["region"] for row in found["q1", 1]] == ["US", "ASIA"]
    assert ("q1", 2) not in found
