"""Compute a job's time as lanes: for each region and model, when its calls waited, were asked and were asked again."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runner_api.views import Row
from runner_core.durations import duration
from runner_core.statuses import in_order

WIDTH = 1000  # units of the drawing: the job's time from its submission on
HEIGHT = 10
KINDS = ("waiting", "asking", "retrying")
_STEP = 2.0  # units: two bars that are nearer than this are drawn as one
_MINUTE, _DAY = 60, 86_400
# Seconds.
_TICKS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1440)),
)
_MOST_TICKS = 6

Span = tuple[float, float]  # seconds since the job's submission


@dataclass(frozen=True)
class Bar:
    """The times of one kind in one track: as a path, and as the milliseconds that they cover."""

    kind: str
    path: str
    ms: float


@dataclass(frozen=True)
class Track:
    """One model in one region: its bars, its calls, and when the first began and the last ended, in milliseconds."""

    model: str
    bars: list[Bar]
    calls: int
    done: int
    began_ms: float | None
    ended_ms: float | None

    def ms(self, kind: str) -> float:
        """Return the milliseconds that the bars of a kind cover."""
        return sum(bar.ms for bar in self.bars if bar.kind == kind)


@dataclass(frozen=True)
class Lane:
    """One region: the bar of its wait for a worker, and a track for each model."""

    region: str
    queued: Bar
    tracks: list[Track]


@dataclass(frozen=True)
class Lanes:
    """The picture of a job. `ticks` are places from 0 to WIDTH with their words; `now`: the place of the present."""

    lanes: list[Lane]
    ticks: list[tuple[float, str]]
    now: float | None
    seconds: float


def lanes(job: Row, regions: Sequence[Row], rows: Iterable[Row], now: datetime) -> Lanes:
    """Return the lanes of a job. `regions`: rows of portal.regions; `rows`: of portal.calls."""
    began: datetime = job["created_at"]
    end = job["completed_at"] or now
    seconds = max((end - began).total_seconds(), 0.001)
    units: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        units.setdefault((row["region"], row["model_id"]), []).append(row)
    runs = {region["region"]: region for region in regions}
    drawn = []
    for region in in_order(job["plan"]):
        first = min((row["started_at"] for m in job["plan"][region] for row in _begun(units, region, m)), default=None)
        taken = first or runs[region]["started_at"] or runs[region]["finished_at"] or end
        tracks = [_track(model, units.get((region, model), []), began, end, seconds) for model in job["plan"][region]]
        wait = _within([(0.0, (taken - began).total_seconds())], seconds)
        drawn.append(Lane(region, _bar("queued", wait, seconds), tracks))
    return Lanes(drawn, _ticks(seconds), None if job["completed_at"] else float(WIDTH), seconds)


def _begun(units: Mapping[tuple[str, str], list[Row]], region: str, model: str) -> list[Row]:
    return [row for row in units.get((region, model), []) if row["begun"] and row["started_at"]]


def _track(model: str, rows: Sequence[Row], began: datetime, end: datetime, seconds: float) -> Track:
    spans: dict[str, list[Span]] = {kind: [] for kind in KINDS}
    begun = [row for row in rows if row["begun"] and row["started_at"]]
    for row in begun:
        for kind, span in _parts(row, began, end):
            spans[kind].append(span)
    starts = [(row["started_at"] - began).total_seconds() * 1000 for row in begun]
    ends = [(row["completed_at"] - began).total_seconds() * 1000 for row in begun if row["completed_at"]]
    return Track(
        model,
        [_bar(kind, _within(spans[kind], seconds), seconds) for kind in KINDS],
        len(rows),
        sum(row["completed_at"] is not None for row in rows),
        min(starts, default=None),
        max(ends, default=None),
    )


def _parts(row: Row, began: datetime, end: datetime) -> list[tuple[str, Span]]:
    """Return the times of one call: it waits for its turn, is asked, and is asked again if a try failed.

    What an answer has is known: `answered_ms` is the time of its last try, and `waited_ms` the time before that try, in
    which the call waited for a place, which began before its start, and, if it was asked again, failed tries. Without
    an answer everything after the start counts as asking, or as retrying if there was more than one try.
    """
    first = (row["started_at"] - began).total_seconds()
    last = max(first, ((row["completed_at"] or end) - began).total_seconds())
    waited = (row["waited_ms"] or 0) / 1000
    if row["answered_ms"] is None:
        asked = min(last, first + waited)
        parts = [("waiting", (first, asked)), ("retrying" if row["retry_count"] else "asking", (asked, last))]
    else:
        again = max(first, last - row["answered_ms"] / 1000)
        tried = first if row["retry_count"] else again
        parts = [
            ("waiting", (min(tried, again - waited), tried)),
            ("retrying", (tried, again)),
            ("asking", (again, last)),
        ]
    return [(kind, span) for kind, span in parts if span[1] > span[0]] or [("asking", (last, last))]


def _within(spans: Iterable[Span], seconds: float) -> list[Span]:
    """Return the spans in order without overlaps, cut to the picture."""
    cut = sorted((max(0.0, a), min(seconds, b)) for a, b in spans if b >= 0 and a <= seconds)
    merged: list[Span] = []
    for a, b in cut:
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    return merged


def _bar(kind: str, spans: Sequence[Span], seconds: float) -> Bar:
    scale = WIDTH / seconds
    drawn: list[Span] = []
    for a, b in ((a * scale, b * scale) for a, b in spans):
        if drawn and a - drawn[-1][1] < _STEP:
            drawn[-1] = (drawn[-1][0], b)
        else:
            drawn.append((a, b))
    path = "".join(f"M{a:.0f} 0h{max(1, b - a):.0f}v{HEIGHT}h-{max(1, b - a):.0f}z" for a, b in drawn)
    return Bar(kind, path, sum(b - a for a, b in spans) * 1000)


def _ticks(seconds: float) -> list[tuple[float, str]]:
    """Return the places of round times, at most seven. A day is the smallest unit of a longer picture."""
    many = (step for step in _TICKS if seconds / step <= _MOST_TICKS)
    step = next(many, math.ceil(seconds / _MOST_TICKS / _DAY) * _DAY)
    marks = (step * n for n in range(int(seconds / step) + 1))
    return [(round(mark / seconds * WIDTH, 1), duration(mark * 1000) if mark else "0") for mark in marks]
