"""How the portal's pages write durations, numbers and docstrings."""

import pytest

from runner_api.portal.words import counted, duration, ticked


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (None, ""),
        (0, "0 ms"),
        (999, "999 ms"),
        (1200, "1.2 s"),
        (60_000, "1 min"),
        (125_000, "2 min 5 s"),
        (600_000, "10 min"),
        (3_600_000, "1 h"),
        (5_400_000, "1 h 30 min"),
    ],
)
def test_a_duration_names_no_part_that_is_nought(ms: float | None, shown: str) -> None:
    assert duration(ms) == shown


def test_one_is_not_plural() -> None:
    assert [counted(n, "call") for n in (0, 1, 1200)] == ["0 calls", "1 call", "1,200 calls"]


def test_backticks_become_code_and_nothing_else_becomes_markup() -> None:
    assert ticked("`a<b` & <i>") == "<code>a&lt;b</code> &amp; &lt;i&gt;"
