"""Compute the geometry of charts over time. The template only draws them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from runner_api.views import axes
from runner_api.views.axes import HEIGHT, Tick
from runner_api.views.intervals import Interval, Window
from runner_core.durations import duration
from runner_core.statuses import ENDED

WIDTH = 1000  # it is stretched
MOST_LINES = 6  # that can be told apart by their colour and their dashes


@dataclass(frozen=True)
class Time:
    """A label of the horizontal axis: its place in percent of the width, and how the text stands there."""

    at: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Part:
    """A rectangle of an interval."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Point:
    """One interval: its column, which can have the focus, what is read of it, and what the link leads to."""

    key: str
    x: float
    width: float
    label: str
    href: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Line:
    """An unbroken stretch of a line."""

    kind: str
    points: str


@dataclass(frozen=True)
class Chart:
    """A chart and the table with the same numbers. `keys`: the kind of each line or bar, and its word."""

    label: str
    ticks: Sequence[Tick]
    times: Sequence[Time]
    points: Sequence[Point]
    lines: Sequence[Line]
    keys: Sequence[tuple[str, str]]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.points


def throughput(window: Window, intervals: Sequence[Interval], link: Callable[[datetime], str]) -> Chart:
    """Return the chart of the units that ended in each interval; the failed part stands on the completed one."""
    top, ticks = axes.whole_numbers(max((one.units for one in intervals), default=0))
    wide = WIDTH / window.intervals
    points = []
    for number, one in enumerate(intervals):
        if one.units:
            x, parts = number * wide, _bar(one, number * wide, wide, top)
            points.append(Point(_key(one), x, wide, _told(one, window), link(one.at), parts))
    label = f"Units that ended, by {window.step_words}, {window.words}"
    rows = [
        (_clock(one.at), one.units_words, *(one.words(getattr(one, status)) for status in ENDED))
        for one in intervals
        if one.units
    ]
    keys = tuple((status, status) for status in ENDED)
    columns = ("From, UTC", "Ended", *(status.capitalize() for status in ENDED))
    return Chart(label, ticks, _times(window, intervals), points, [], keys, columns, rows)


def latency(window: Window, intervals: Sequence[Interval], link: Callable[[datetime], str]) -> Chart:
    """Return the chart of the median and 95th percentile of answer times, or of the latter for each part of a split.

    The axis is logarithmic: one slow unit does not press all others onto the edge. An interval without an answer
    breaks a line.
    """
    names = names_of(intervals)[:MOST_LINES]
    series: dict[str, list[float | None]]
    if names:
        series = {name: [_p95(one, name) for one in intervals] for name in names}
    else:
        series = {
            "median": [one.p50_ms for one in intervals],
            "95th percentile": [one.p95_ms for one in intervals],
        }
    values = [value for line in series.values() for value in line if value is not None]
    ticks, place = axes.logarithmic(values)
    wide = WIDTH / window.intervals
    kinds = [f"line-{number}" for number in range(1, len(series) + 1)] if names else ["p50_ms", "p95_ms"]
    lines = [
        Line(kind, points)
        for kind, line in zip(kinds, series.values(), strict=True)
        for points in _stretches(line, wide, place)
    ]
    points = [
        Point(_key(one), number * wide, wide, _told(one, window), link(one.at))
        for number, one in enumerate(intervals)
        if any(line[number] is not None for line in series.values())
    ]
    rows = [
        (_clock(one.at), *(duration(line[number]) or "" for line in series.values()))
        for number, one in enumerate(intervals)
        if any(line[number] is not None for line in series.values())
    ]
    what = "95th percentile of the answer times" if names else "Median and 95th percentile of the answer times"
    label = f"{what}, by {window.step_words}, {window.words}"
    keys = tuple(zip(kinds, series, strict=True))
    return Chart(label, ticks, _times(window, intervals), points, lines, keys, ("From, UTC", *series), rows)


def names_of(intervals: Iterable[Interval]) -> list[str]:
    """Return the names of a split's parts, those with the most units first."""
    units: dict[str, int] = {}
    for one in intervals:
        for name, part in one.parts.items():
            units[name] = units.get(name, 0) + part.units
    return sorted(units, key=lambda name: (-units[name], name))


def _bar(one: Interval, x: float, wide: float, top: int) -> tuple[Part, ...]:
    """Return the parts of an interval's bar from below: where units were left out, by the shares of those read."""
    parts, below = [], 0.0
    for status in ENDED:
        units: int = getattr(one, status)
        height = one.units * units / (one.read or 1) / top * HEIGHT
        if units:
            part = Part(status, x + wide * 0.1, HEIGHT - below - height, wide * 0.8, height)
            parts.append(part)
        below += height
    return tuple(parts)


def _p95(one: Interval, name: str) -> float | None:
    return one.parts[name].p95_ms if name in one.parts else None


def _told(one: Interval, window: Window) -> str:
    """Return what an interval is called for people who do not see it."""
    text = f"{_clock(one.at)} to {_clock(one.at + window.step)} UTC: {one.sentence}"
    if one.parts:
        slowest = sorted(one.parts.items(), key=lambda part: -(part[1].p95_ms or 0))[:MOST_LINES]
        each = ", ".join(f"{name} {duration(part.p95_ms) or 'none'}" for name, part in slowest)
        return f"{text}; 95th percentile {each}"
    if one.p50_ms is None:
        return text
    return f"{text}; median {duration(one.p50_ms)}, 95th percentile {duration(one.p95_ms)}"


def _stretches(values: Sequence[float | None], wide: float, place: Callable[[float], float]) -> list[str]:
    stretches: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            stretches.append([])
            continue
        # A flat step as wide as the interval, so that one between two empty ones can be seen.
        x, y = number * wide, place(value)
        stretches[-1] += [f"{x:.1f},{y:.1f}", f"{x + wide:.1f},{y:.1f}"]
    return [" ".join(points) for points in stretches if points]


def _times(window: Window, intervals: Sequence[Interval]) -> list[Time]:
    if not intervals:
        return []
    first, quarter = intervals[0].at, window.intervals // 4 * window.step
    labels = [
        Time(25 * number, _clock(first + number * quarter), "start" if number == 0 else "middle") for number in range(4)
    ]
    return [*labels, Time(100, "now", "end")]


def _key(one: Interval) -> str:
    return f"{one.at.astimezone(UTC):%H%M}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M}"
