"""Intervals from the rows of the statement portal.intervals."""

from datetime import UTC, datetime, timedelta
from typing import Any

from runner_api.views.intervals import MOST_READ, WINDOWS, intervals

BEGAN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def row(number: int, part: str | None = None, units: int = 0, **values: Any) -> dict[str, Any]:
    usual = {"completed": 0, "failed": 0, "cancelled": 0, "p50_ms": None, "p95_ms": None}
    return {"at": BEGAN + timedelta(minutes=number), "part": part, "units": units, **usual, **values}


def test_each_interval_has_its_sum_and_its_parts() -> None:
    found = intervals(
        [row(1, units=3, completed=2, failed=1), row(1, "US", 3, completed=2, p95_ms=7.0), row(0)], most_counted=1000
    )
    assert [one.at.minute for one in found] == [0, 1]
    assert (found[1].units, found[1].read, found[1].capped) == (3, 3, False)
    assert (found[1].parts["US"].units, found[1].parts["US"].p95_ms) == (2, 7.0)
    assert found[0].parts == {}


def test_what_was_counted_to_the_end_of_counting_is_told_as_more() -> None:
    (one,) = intervals([row(0, units=1000, completed=100)], most_counted=1000)
    assert one.units_words == "1,000+"
    assert one.words(one.completed) == "100 of 100"


def test_a_cancelled_unit_is_told_only_where_there_is_one() -> None:
    (one,) = intervals([row(0, units=2, completed=1, cancelled=1)], most_counted=1000)
    assert one.sentence == "2 units ended, 1 completed, 0 failed, 1 cancelled"


def test_no_window_reads_more_than_a_page_may() -> None:
    for window in WINDOWS.values():
        assert window.intervals * window.most <= MOST_READ
        assert window.intervals * window.minutes == window.hours * 60
