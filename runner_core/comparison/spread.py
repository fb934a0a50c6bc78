"""Distances inside a region and across two, and what those across have more: section 8 of the method."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, fsum, sqrt

import numpy as np

from runner_core.comparison.intervals import Z
from runner_core.comparison.samples import Wording
from runner_core.comparison.words import MILLION


@dataclass(frozen=True)
class Spread:
    """The sums of one question's distances. `rows` has for each item its distances to each region, in millionths."""

    sizes: dict[str, int]
    rows: dict[str, list[dict[str, int]]]

    @classmethod
    def of(cls, wording: Wording) -> "Spread":
        """Return the sums of a question's distances."""
        sizes = dict(wording.sizes)
        if not sizes:
            return cls({}, {})
        starts = np.cumsum([0, *sizes.values()])[:-1]
        table = np.add.reduceat(wording.matrix, starts, axis=1).tolist()
        rows = [dict(zip(sizes, row, strict=True)) for row in table]
        places = zip(sizes, starts.tolist(), strict=True)
        return cls(sizes, {region: rows[start : start + sizes[region]] for region, start in places})

    def within(self, region: str) -> float | None:
        """Return the mean distance of two answers of this region; None with fewer than two."""
        n = self.sizes.get(region, 0)
        return self._within(region) / (comb(n, 2) * MILLION) if n > 1 else None

    def across(self, a: str, b: str) -> float | None:
        """Return the mean distance of an answer of a to one of b; None where one has no answer."""
        pairs = self.sizes.get(a, 0) * self.sizes.get(b, 0)
        return self._across(a, b) / (pairs * MILLION) if pairs else None

    def floor(self, a: str, b: str) -> float | None:
        """Return the mean of both regions' own distances; None where one has fewer than two answers."""
        one, other = self.within(a), self.within(b)
        return None if one is None or other is None else (one + other) / 2

    def variance(self, a: str, b: str) -> float | None:
        """Return the excess's variance by the two-sample delete-one jackknife; None below three answers of one."""
        if min(self.sizes.get(a, 0), self.sizes.get(b, 0)) < 3:
            return None
        return self._left_out(a, b) + self._left_out(b, a)

    def _left_out(self, a: str, b: str) -> float:
        """Return a's share of the variance: each of its answers is left out once."""
        n, m = self.sizes[a], self.sizes[b]
        inside, outside = self._within(a), self._across(a, b)
        other = self._within(b) / (comb(m, 2) * MILLION)
        found = [
            (outside - row[b]) / ((n - 1) * m * MILLION) - ((inside - row[a]) / (comb(n - 1, 2) * MILLION) + other) / 2
            for row in self.rows[a]
        ]
        mean = fsum(found) / n
        return (n - 1) / n * fsum((value - mean) ** 2 for value in found)

    def _within(self, region: str) -> int:
        return sum(row[region] for row in self.rows[region]) // 2  # each pair stands there twice

    def _across(self, a: str, b: str) -> int:
        return sum(row[b] for row in self.rows[a])


@dataclass(frozen=True)
class Excess:
    """The means over questions of a pair's distances; excess = across - floor. None where an interval can't be had."""

    floor: float
    across: float
    excess: float
    low: float | None = None
    high: float | None = None


def excess(spreads: Sequence[Spread], a: str, b: str) -> Excess | None:
    """Return the excess of a pair over the questions with two answers on both sides; None without one.

    The interval is of the questions with three answers on both sides.
    """
    floors, acrosses, variances = [], [], []
    for spread in spreads:
        floor, across, variance = spread.floor(a, b), spread.across(a, b), spread.variance(a, b)
        if floor is not None and across is not None:
            floors.append(floor)
            acrosses.append(across)
        if variance is not None:
            variances.append(variance)
    if not floors:
        return None
    value = fsum(across - floor for across, floor in zip(acrosses, floors, strict=True)) / len(floors)
    half = Z * sqrt(fsum(variances)) / len(variances) if variances else None
    return Excess(
        fsum(floors) / len(floors),
        fsum(acrosses) / len(acrosses),
        value,
        None if half is None else value - half,
        None if half is None else value + half,
    )


def mean(pairs: Sequence[Excess | None]) -> Excess | None:
    """Return the mean of the pairs that have an excess, without an interval; None if none has."""
    found = [pair for pair in pairs if pair]
    if not found:
        return None
    return Excess(
        *(fsum(values) / len(found) for values in zip(*((p.floor, p.across, p.excess) for p in found), strict=True))
    )
