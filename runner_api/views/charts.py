"""Small charts as SVG geometry: the template only places them."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner_api.views import Row

WIDTH, HEIGHT = 600, 120
BAR = WIDTH / 60


@dataclass(frozen=True)
class Bar:
    """One minute: the completed part stands on the axis, the failed part on top of it."""

    x: float
    completed: float
    failed: float
    title: str


@dataclass(frozen=True)
class Chart:
    """`top` is what the upper edge means; `lines` are the points of polylines, a list for each unbroken stretch."""

    top: float
    bars: list[Bar]
    lines: dict[str, list[str]]
    empty: bool


def throughput(minutes: Sequence[Row]) -> Chart:
    """Units that ended, by the minute."""
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
    """The median and the 95th percentile of the units' durations; a minute without any breaks the line."""
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
        # A flat step as wide as its minute, so that a lonely minute can be seen.
        stretches[-1] += [f"{x:.1f},{y:.1f}", f"{x + BAR:.1f},{y:.1f}"]
    return [" ".join(points) for points in stretches if points]
