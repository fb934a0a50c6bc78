"""How the pages write the numbers of a comparison."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_api.views.figures import decimals, interval, p_value, percent, plain, points, spread

MINUS = "\N{MINUS SIGN}"


def test_numbers_are_written_in_one_way() -> None:
    assert (percent(0.364), percent(0.0), percent(None)) == ("36 %", "0 %", "–")
    assert (points(-0.4), points(0.24), points(None)) == (f"{MINUS}40", "24", "–")
    assert (decimals(0.09), decimals(-0.0113), decimals(None)) == ("0.09", f"{MINUS}0.01", "–")
    assert interval({"low": 0.31, "high": 0.49}) == "31 to 49 %"
    assert interval({"low": None, "high": None}) == ""
    assert (spread({"range": [0.4, 0.422]}), spread({"range": None})) == ("40 to 42 %", "–")
    assert plain("hard_refusal") == "hard refusal"


@pytest.mark.parametrize("write", [points, decimals])
def test_nothing_is_not_negative(write: object) -> None:
    assert callable(write)
    assert MINUS not in write(-0.0001)


@settings(derandomize=True, database=None)
@given(st.floats(1 / 10_000, 1))
def test_no_p_value_is_written_as_0(p: float) -> None:
    assert float(p_value(p)) > 0


def test_a_p_value_that_is_not_there_is_a_dash() -> None:
    assert p_value(None) == "–"
