"""The geometry of the forest plots, from the numbers of one model alone."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_api.views.forest import WIDTH, ZERO, excess, withheld

MODEL: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/analysis.json").read_text())["models"][0]


def changed(**pair: Any) -> dict[str, Any]:
    """The model with one pair, whose numbers are these."""
    model = copy.deepcopy(MODEL)
    model["pairs"] = [model["pairs"][0] | pair]
    return model


def test_withheld_answers_are_drawn_from_minus_to_plus_100_points() -> None:
    plot = withheld(MODEL)
    assert plot.ticks == ("−100", "0", "100")
    first, _, last = plot.lines
    assert first.name == "EU − ASIA"
    assert first.at == pytest.approx(WIDTH * 0.3, abs=0.01), "-40 points of -100 to 100"
    assert first.told == "−40 points (−49 to −28)"
    assert (last.at, last.told) == (ZERO, "0 points (−8 to 8)")


def test_controls_are_hollow_marks_with_their_rates() -> None:
    model = copy.deepcopy(MODEL)
    model["withheld"]["controls"]["ASIA"]["rate"] = 0.5
    line = withheld(model).lines[0]
    assert line.hollow == pytest.approx(WIDTH * 0.25, abs=0.01)
    assert line.controls == "EU 0 %, ASIA 50 %"
    model["withheld"]["controls"] = {}
    assert (withheld(model).lines[0].hollow, withheld(model).lines[0].controls) == (None, "")


def test_pairs_have_a_p_value_only_where_the_model_differs() -> None:
    assert [line.p for line in withheld(MODEL).lines] == ["0.0003", "0.0003", "1.0000"]
    assert [line.differs for line in withheld(MODEL).lines] == [True, True, False]
    assert [line.p for line in excess(MODEL).lines] == ["", "", "", ""]
    assert (withheld(MODEL).tested, excess(MODEL).tested) == (True, False)


def test_the_axis_of_the_excess_holds_every_number_and_the_controls_have_a_line() -> None:
    plot = excess(MODEL)
    assert plot.ticks == ("−0.10", "0", "0.10")
    assert [line.name for line in plot.lines] == ["EU − ASIA", "US − ASIA", "US − EU", "Controls, all pairs"]
    assert plot.lines[0].told == "0.00 (−0.02 to 0.02), floor 0.50"
    controls = plot.lines[-1]
    assert (controls.at, controls.told) == (None, "0.01")
    assert controls.hollow
    assert controls.hollow > ZERO
    assert excess(changed(high_excess=0.3)).ticks == ("−0.50", "0", "0.50")


def test_a_pair_without_an_interval_has_a_point_alone() -> None:
    line = excess(changed(low_excess=None, high_excess=None)).lines[0]
    assert (line.low, line.high) == (None, None)
    assert line.at is not None
    assert line.told == "0.00, floor 0.50"


def test_a_pair_without_a_number_has_no_line() -> None:
    assert withheld(changed(points=None)).lines == []
    assert excess(changed(excess=None)).lines == []


@settings(derandomize=True, database=None)
@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_every_mark_is_on_the_axis_and_in_the_order_of_its_values(one: float, two: float, three: float) -> None:
    low, at, high = sorted((one, two, three))
    line = excess(changed(low_excess=low, excess=at, high_excess=high)).lines[0]
    assert line.low is not None
    assert line.at is not None
    assert line.high is not None
    assert 0 <= line.low <= line.at <= line.high <= WIDTH
