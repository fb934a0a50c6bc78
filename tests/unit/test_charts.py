"""The geometry of the small charts, from rows alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

from runner_api.views.charts import BAR, HEIGHT, WIDTH, latency, throughput

BEGAN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def minute(number: int, completed: int = 0, failed: int = 0, p50: float | None = None, p95: float | None = None) -> Any:
    at = BEGAN + timedelta(minutes=number)
    return {"minute": at, "completed": completed, "failed": failed, "p50_ms": p50, "p95_ms": p95}


def test_an_hour_fills_the_width() -> None:
    chart = throughput([minute(number) for number in range(60)])
    assert chart.bars[-1].x + BAR == WIDTH
    assert chart.empty
    assert chart.top == 1, "an hour without a unit is no division by zero"


def test_bars_are_shares_of_the_highest_minute() -> None:
    chart = throughput([minute(0, 3, 1), minute(1, 1, 0)])
    assert (chart.top, chart.empty) == (4, False)
    first, second = chart.bars
    assert (first.x, first.completed, first.failed) == (0, 0.75 * HEIGHT, 0.25 * HEIGHT)
    assert (second.x, second.completed, second.failed) == (BAR, 0.25 * HEIGHT, 0)
    assert first.title == "12:00 UTC: 3 completed, 1 failed"


def test_a_minute_without_a_unit_breaks_the_line() -> None:
    chart = latency([minute(0, p50=50, p95=100), minute(1), minute(2, p50=100, p95=200)])
    assert chart.top == 200
    assert chart.lines["p95_ms"] == ["0.0,60.0 10.0,60.0", "20.0,0.0 30.0,0.0"]
    assert len(chart.lines["p50_ms"]) == 2


def test_neighbouring_minutes_are_one_line() -> None:
    (line,) = latency([minute(0, p50=1, p95=1), minute(1, p50=1, p95=1)]).lines["p50_ms"]
    assert line.split() == ["0.0,0.0", "10.0,0.0", "10.0,0.0", "20.0,0.0"]


def test_without_a_duration_there_is_no_line() -> None:
    chart = latency([minute(0), minute(1)])
    assert (chart.top, chart.empty, chart.lines) == (1.0, True, {"p50_ms": [], "p95_ms": []})
