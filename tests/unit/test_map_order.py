"""The order of a map of verdicts, what is shown of it, and the way through its cells. Made-up maps."""

import pytest

from runner_api.views.apart import furthest, model_apart
from runner_api.views.map_order import Place, around, narrowed, numbers
from runner_api.views.verdicts import Cell, HeatMap, Line


def cell(verdict: str = "no_difference_found", size: float = 0.0, model: str = "m", **more: int) -> Cell:
    return Cell(model, verdict, "", "", more.get("errors", 0), more.get("withheld", 0), "", size)


def heat(**lines: list[Cell | None]) -> HeatMap:
    return HeatMap([Line({"id": name, "text": "?"}, cells) for name, cells in lines.items()], [], [])


def ids(found: HeatMap) -> list[str]:
    return [line.question["id"] for line in found.lines]


MAP = heat(
    quiet=[cell(size=0.9), cell(model="n")],
    wording=[cell("wording_differs", 0.1), None],
    withheld=[cell("withheld_differs", 0.4, withheld=2), cell(model="n")],
    failed=[cell("not_enough", errors=3), cell(model="n")],
    further=[cell("wording_differs", 0.3), cell(model="n")],
    two=[cell("wording_differs", 0.05), cell("wording_differs", 0.05, "n")],
)


def test_the_most_different_question_comes_first_and_chance_orders_nothing() -> None:
    assert ids(narrowed(MAP, "all", "difference")) == ["withheld", "two", "further", "wording", "quiet", "failed"]
    assert ids(narrowed(MAP, "all", "job")) == ids(MAP)


@pytest.mark.parametrize(
    ("show", "left"),
    [("different", ["wording", "withheld", "further", "two"]), ("refused", ["withheld"]), ("failed", ["failed"])],
)
def test_a_filter_leaves_questions_with_such_a_cell(show: str, left: list[str]) -> None:
    assert ids(narrowed(MAP, show, "job")) == left
    assert numbers(MAP)[show] == len(left)


def test_the_way_leads_along_the_lines_and_to_the_next_difference() -> None:
    found = around(MAP, "withheld", "m")
    assert found.previous == Place("wording", "m"), "a field without a cell is passed over"
    assert found.next == Place("withheld", "n")
    assert found.previous_different == Place("wording", "m")
    assert found.next_different == Place("further", "m")
    last = around(MAP, "two", "n")
    assert (last.next, last.next_different, last.previous_different) == (None, None, Place("two", "m"))


def test_from_a_cell_that_is_not_shown_the_way_begins_at_the_first() -> None:
    found = around(narrowed(MAP, "failed", "job"), "quiet", "m")
    assert (found.previous, found.next) == (None, Place("failed", "m"))


def test_the_furthest_region_has_the_largest_mean_distance() -> None:
    assert furthest({"ASIA|EU": 0.5, "ASIA|US": 0.6, "EU|US": 0.3}) == "ASIA"
    assert furthest({"EU|US": 0.9}) == "", "of two regions none is further"
    assert furthest({"ASIA|EU": 0.5, "ASIA|US": 0.5, "EU|US": 0.5}) == ""


def test_pairs_that_differ_are_told_by_the_region_of_most_of_them() -> None:
    def pair(a: str, b: str, *, withheld: bool = False, wording: bool = False) -> dict[str, object]:
        return {"a": a, "b": b, "withheld_differs": withheld, "wording_differs": wording}

    pairs = [pair("ASIA", "EU", withheld=True), pair("ASIA", "US", withheld=True, wording=True), pair("EU", "US")]
    assert model_apart(pairs) == ["withheld: ASIA differs from EU and US", "wording: ASIA differs from US"]
    assert model_apart([pair("EU", "US")]) == []
