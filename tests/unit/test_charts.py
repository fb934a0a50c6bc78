"""The geometry of charts over time, from intervals alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

from runner_api.views.axes import HEIGHT
from runner_api.views.charts import WIDTH, latency, throughput
from runner_api.views.intervals import WINDOWS, Interval, Part

BEGAN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HOUR = WINDOWS["1h"]


def minute(number: int, completed: int = 0, failed: int = 0, **values: Any) -> Interval:
    at = BEGAN + timedelta(minutes=number)
    usual = {"units": completed + failed, "capped": False, "cancelled": 0, "p50_ms": None, "p95_ms": None}
    return Interval(at, completed=completed, failed=failed, **{**usual, **values})


def link(at: datetime) -> str:
    return f"/units?at={at:%H:%M}"


def test_an_hour_fills_the_width() -> None:
    chart = throughput(HOUR, [minute(number, 1) for number in range(60)], link)
    assert round(chart.points[-1].x + chart.points[-1].width, 6) == WIDTH
    assert [time.text for time in chart.times] == ["12:00", "12:15", "12:30", "12:45", "now"]


def test_an_hour_without_a_unit_is_empty() -> None:
    for drawn in (throughput, latency):
        chart = drawn(HOUR, [minute(number) for number in range(60)], link)
        assert (chart.empty, chart.lines, chart.rows) == (True, [], [])


def test_a_bar_stands_on_the_axis_with_its_failures_on_top() -> None:
    chart = throughput(HOUR, [minute(0, 3, 1), minute(1, 1, 0)], link)
    assert [tick.text for tick in chart.ticks] == ["0", "2", "4"]
    assert [tick.at for tick in chart.ticks] == [HEIGHT, HEIGHT / 2, 0]
    first, second = chart.points
    assert [(part.kind, part.y, part.height) for part in first.parts] == [
        ("completed", 0.25 * HEIGHT, 0.75 * HEIGHT),
        ("failed", 0, 0.25 * HEIGHT),
    ]
    assert [(part.kind, part.height) for part in second.parts] == [("completed", 0.25 * HEIGHT)]
    assert first.label == "12:00 to 12:01 UTC: 4 units ended, 3 completed, 1 failed"
    assert first.href == "/units?at=12:00"
    assert list(chart.rows[0]) == ["12:00", "4", "3", "1", "0"]


def test_units_that_were_not_read_are_told_and_have_the_shares_of_those_that_were() -> None:
    chart = throughput(HOUR, [minute(0, 75, 25, units=400)], link)
    (point,) = chart.points
    assert [round(part.height / HEIGHT, 2) for part in point.parts] == [0.75, 0.25]
    assert point.label == "12:00 to 12:01 UTC: 400 units ended, of the newest 100 75 completed, 25 failed"
    assert list(chart.rows[0]) == ["12:00", "400", "75 of 100", "25 of 100", "0 of 100"]
    (many,) = throughput(HOUR, [minute(0, 100, units=1000, capped=True)], link).points
    assert "1,000+ units ended" in many.label


def test_one_slow_minute_does_not_press_the_others_onto_the_edge() -> None:
    chart = latency(HOUR, [minute(0, 1, p50_ms=100, p95_ms=100), minute(1, 1, p50_ms=360_000, p95_ms=360_000)], link)
    assert [tick.text for tick in chart.ticks] == ["100 ms", "1 s", "10 s", "1 min", "10 min"]
    assert chart.ticks[0].at == HEIGHT
    assert chart.ticks[-1].at == 0
    steps = [one.at - other.at for one, other in zip(chart.ticks, chart.ticks[1:], strict=False)]
    assert min(steps) > 20
    assert chart.points[1].label == (
        "12:01 to 12:02 UTC: 1 unit ended, 1 completed, 0 failed; median 6 min, 95th percentile 6 min"
    )


def test_an_interval_without_a_unit_breaks_the_line_and_neighbours_are_one_line() -> None:
    slow, fast = {"p50_ms": 1000, "p95_ms": 1000}, {"p50_ms": 100, "p95_ms": 100}
    chart = latency(HOUR, [minute(0, 1, **slow), minute(1, 1, **fast), minute(2), minute(3, 1, **slow)], link)
    lines = [line.points for line in chart.lines if line.kind == "p95_ms"]
    assert lines == [f"0.0,0.0 16.7,0.0 16.7,{HEIGHT}.0 33.3,{HEIGHT}.0", "50.0,0.0 66.7,0.0"]


def test_a_split_has_a_line_for_each_part_and_says_which_are_left_out() -> None:
    parts = {f"p{number}": Part(units=10 - number, p50_ms=10, p95_ms=20 + number) for number in range(8)}
    chart = latency(HOUR, [minute(0, 52, p50_ms=10, p95_ms=20, parts=parts)], link)
    assert [word for _, word in chart.keys] == [f"p{number}" for number in range(6)]
    assert len({line.kind for line in chart.lines}) == 6
    assert list(chart.columns) == ["From, UTC", *(f"p{number}" for number in range(6))]
    assert chart.rows[0][1] == "20 ms"
    assert "95th percentile p7 27 ms, p6 26 ms" in chart.points[0].label


def test_times_outside_of_every_line_stay_inside_the_drawing() -> None:
    for value in (0.0, 0.2, 1.0, 1e9):
        chart = latency(HOUR, [minute(0, 1, p50_ms=value, p95_ms=value)], link)
        assert len(chart.ticks) >= 2
        heights = {float(point.split(",")[1]) for line in chart.lines for point in line.points.split()}
        assert all(0 <= height <= HEIGHT for height in heights)
