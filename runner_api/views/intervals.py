"""The units that ended, by intervals of a window of time: how many, how many of them failed, how fast they answered."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runner_api.views import Row
from runner_api.views.words import count, counted
from runner_core.statuses import ENDED

SPLITS = ("region", "provider")
MOST_READ = 6000  # units of a window; a statement that reads more costs more than a page may


@dataclass(frozen=True)
class Window:
    """The last `hours`, in intervals of `minutes`."""

    hours: int
    minutes: int

    @property
    def intervals(self) -> int:
        """How many intervals the window has."""
        return self.hours * 60 // self.minutes

    @property
    def step(self) -> timedelta:
        """How long an interval is."""
        return timedelta(minutes=self.minutes)

    @property
    def most(self) -> int:
        """How many units of an interval are read: the newest."""
        return MOST_READ // self.intervals

    @property
    def name(self) -> str:
        """The window's name in an address: `1h`."""
        return f"{self.hours}h"

    @property
    def words(self) -> str:
        """The window in words."""
        return "last hour" if self.hours == 1 else f"last {self.hours} hours"

    @property
    def step_words(self) -> str:
        """An interval in words."""
        return "minute" if self.minutes == 1 else f"{self.minutes} minutes"


WINDOWS = {window.name: window for window in (Window(1, 1), Window(6, 5), Window(24, 15))}


@dataclass(frozen=True)
class Part:
    """The units of a region or a provider among those that were read of an interval."""

    units: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True)
class Interval:
    """`units` ended in the interval that begins `at`; with `capped` that many or more.

    `completed`, `failed` and `cancelled` are of those that were read: the newest. `parts`: by region or provider, when
    the window is split.
    """

    at: datetime
    units: int
    capped: bool
    completed: int
    failed: int
    cancelled: int
    p50_ms: float | None
    p95_ms: float | None
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """How many units were read."""
        return self.completed + self.failed + self.cancelled

    @property
    def units_words(self) -> str:
        """How many units ended."""
        return f"{count(self.units)}{'+' if self.capped else ''}"

    def words(self, number: int) -> str:
        """Return a number of the units that were read, with how many were read where some were left out."""
        return f"{count(number)} of {count(self.read)}" if self.read < self.units else count(number)

    @property
    def sentence(self) -> str:
        """How many units ended, and how many of them in each status."""
        ended = f"{self.units_words} units ended" if self.capped else f"{counted(self.units, 'unit')} ended"
        among = f" of the newest {count(self.read)}" if self.read < self.units else ""
        cancelled = f", {count(self.cancelled)} cancelled" if self.cancelled else ""
        return f"{ended},{among} {count(self.completed)} completed, {count(self.failed)} failed{cancelled}"


def intervals(rows: Sequence[Row], most_counted: int) -> list[Interval]:
    """Return the intervals in turn. `rows`: of the statement portal.intervals, whose row without a part has the sum."""
    sums = {row["at"]: row for row in rows if row["part"] is None}
    parts: dict[datetime, dict[str, Part]] = {at: {} for at in sums}
    for row in rows:
        if row["part"] is not None:
            units = row["completed"] + row["failed"] + row["cancelled"]
            parts[row["at"]][row["part"]] = Part(units, row["p50_ms"], row["p95_ms"])
    names = ("at", "units", *ENDED, "p50_ms", "p95_ms")
    return [
        Interval(**{name: row[name] for name in names}, capped=row["units"] >= most_counted, parts=parts[at])
        for at, row in sorted(sums.items())
    ]
