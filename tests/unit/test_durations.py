"""How a length of time is written, on pages and in terminals."""

import pytest

from runner_core.durations import duration


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (None, ""),
        (0, "0 ms"),
        (157, "157 ms"),
        (999, "999 ms"),
        (1200, "1.2 s"),
        (60_000, "1 min"),
        (62_000, "1 min 2 s"),
        (125_000, "2 min 5 s"),
        (600_000, "10 min"),
        (3_600_000, "1 h"),
        (5_400_000, "1 h 30 min"),
    ],
)
def test_a_duration_names_no_part_that_is_nought(ms: float | None, shown: str) -> None:
    assert duration(ms) == shown


@pytest.mark.parametrize(("ms", "shown"), [(999.6, "1.0 s"), (59_949, "59.9 s"), (59_960, "1 min"), (3_599_600, "1 h")])
def test_a_duration_is_rounded_into_the_next_unit(ms: float, shown: str) -> None:
    """Neither `1000 ms` nor `60.0 s` nor `60 min`."""
    assert duration(ms) == shown
