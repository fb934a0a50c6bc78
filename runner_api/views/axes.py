"""The vertical axes of charts: which values have a line, and where a value stands."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner_api.views.words import count
from runner_core.durations import duration

HEIGHT = 160  # pixels
# Where an axis of times may have a line, in milliseconds.
TIMES = (1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000)


@dataclass(frozen=True)
class Tick:
    """A line of the vertical axis: its distance from the upper edge in pixels, and its value in words."""

    at: float
    text: str


def whole_numbers(highest: int) -> tuple[int, list[Tick]]:
    """Return the value of the upper edge and three lines. The edge is 2, 4, 6, 8, 10, 20 ...: its half is whole too."""
    top = next(digit * 10**power for power in range(30) for digit in (2, 4, 6, 8, 10) if digit * 10**power >= highest)
    return top, [Tick(HEIGHT - share * HEIGHT, count(round(share * top))) for share in (0, 0.5, 1)]


def logarithmic(values: Sequence[float]) -> tuple[list[Tick], Callable[[float], float]]:
    """Return the lines of a logarithmic axis for times in milliseconds, and the place of a time on it.

    The first line is at or below the smallest time, the last at or above the largest: there are at least two.
    """
    low, high = min(values, default=1), max(values, default=1)
    first = max((number for number, time in enumerate(TIMES) if time <= low), default=0)
    first = min(first, len(TIMES) - 2)
    last = next((number for number, time in enumerate(TIMES) if time >= high and number > first), len(TIMES) - 1)
    ticks = TIMES[first : last + 1]
    bottom, top = math.log10(ticks[0]), math.log10(ticks[-1])

    def place(value: float) -> float:
        share = (math.log10(max(value, 1)) - bottom) / (top - bottom)
        return round(HEIGHT - min(max(share, 0), 1) * HEIGHT, 1)

    return [Tick(place(time), duration(time).replace(".0 ", " ")) for time in ticks], place
