"""Compute the geometry of small SVG charts. The template only draws them."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner_api.views import Row

WIDTH, HEIGHT = 600, 120
BAR = WIDTH / 60


@dataclass(frozen=True)
class Bar:
    """The bar of one minute: the completed part stands on the axis, the failed part on top of the completed one."""

    x: float
    completed: float
    failed: float
    title: str


@dataclass(frozen=True)
class Chart:
    """`top` is the value of the upper edge. `lines` are the points of polylines, one for each unbroken stretch."""

    top: float
    bars: list[Bar]
    lines: dict[str, list[str]]
    empty: bool


def throughput(minutes: Sequence[Row]) -> Chart:
    """Return the chart of the units that ended in each minute."""
    top = max(1, *(row["completed"] + row["failed"] for row in minutes))
    bars = [
        Bar(
            number * BAR,
            row["completed"] / top * HEIGHT,
            row["failed"] / top * HEIGHT,
            f"{row['minute']:%H:%M} UTC: {row['completed']} completed, {row['failed']} failed",
        )
        for number, row in enumerate(minutes)
    ]
    return Chart(top, bars, {}, not any(row["completed"] + row["failed"] for row in minutes))


def latency(minutes: Sequence[Row]) -> Chart:
    """Return the chart of the median and 95th percentile of durations. A minute without units breaks the line."""
    top = max([1.0, *(float(row["p95_ms"]) for row in minutes if row["p95_ms"] is not None)])
    lines = {name: _stretches([row[name] for row in minutes], top) for name in ("p50_ms", "p95_ms")}
    return Chart(top, [], lines, not lines["p50_ms"])


def _stretches(values: Sequence[float | None], top: float) -> list[str]:
    stretches: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            stretches.append([])
            continue
        x, y = number * BAR, HEIGHT - float(value) / top * HEIGHT
        # A flat step as wide as the minute, so that a minute between two empty ones can be seen.
        stretches[-1] += [f"{x:.1f},{y:.1f}", f"{x + BAR:.1f},{y:.1f}"]
    return [" ".join(points) for points in stretches if points]
