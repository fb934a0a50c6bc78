"""One question as the tests see it: the distances of its answers (section 3), or a whole number each (section 6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import numpy as np

from runner_core.comparison import smallest
from runner_core.comparison.permute import Orders, Whole, region_sums, within_sums
from runner_core.comparison.smallest import WEIGHT
from runner_core.comparison.words import distances

Parts = dict[str, Whole]  # what the questions of a model add up: S, or a direction for each region


@dataclass(frozen=True)
class Wording:
    """The word sets of one question's answers. `matrix`: distances in millionths, items by region, then run."""

    question: str
    sizes: Mapping[str, int]  # the regions with an answer, by code point
    matrix: Whole

    @classmethod
    def of(cls, question: str, sets: Mapping[str, Sequence[frozenset[str]]]) -> Self:
        """Return the sample of these word sets; `sets` has the regions by code point."""
        items = [words for region in sets.values() for words in region]
        matrix = np.array(distances(items), dtype=np.int64).reshape(len(items), len(items))
        return cls(question, {region: len(found) for region, found in sets.items() if found}, matrix)

    def of_regions(self, regions: Sequence[str]) -> "Wording":
        """Return the sample of these regions alone."""
        labels = np.repeat(list(self.sizes), list(self.sizes.values()))
        kept = np.flatnonzero(np.isin(labels, regions))
        sizes = {region: size for region, size in self.sizes.items() if region in regions}
        return Wording(self.question, sizes, self.matrix[np.ix_(kept, kept)])

    @property
    def testable(self) -> bool:
        """Return whether two regions answered, and one of them twice."""
        return len(self.sizes) > 1 and max(self.sizes.values()) > 1

    @property
    def always_the_same(self) -> bool:
        """Return whether every assignment gives the same statistic: all distances are equal."""
        apart = self.matrix[np.triu_indices(len(self.matrix), 1)]
        return bool((apart == apart[0]).all())

    def parts(self, orders: Orders) -> Parts:
        """Return S of each order."""
        return {"S": within_sums(self.matrix, orders, list(self.sizes.values()))}

    @staticmethod
    def statistic(parts: Parts) -> Whole:
        """Return S, which is small where regions are alike inside."""
        return parts["S"]

    @staticmethod
    def as_extreme(null: Whole, observed: int) -> int:
        """Return how many of the null's S are at most the observed one."""
        return int((null <= observed).sum())

    def min_p(self) -> Fraction:
        """Return the smallest p-value that this question can give, without the bound of the draws."""
        return smallest.wording(self.sizes.values())


@dataclass(frozen=True)
class Values:
    """One whole number of each answer of a question: withheld or not, or its share of the listed facts."""

    question: str
    values: Mapping[str, tuple[int, ...]]  # of the regions with an answer, by code point

    @classmethod
    def of(cls, question: str, values: Mapping[str, Sequence[int]]) -> Self:
        """Return the sample of these numbers; `values` has the regions by code point."""
        return cls(question, {region: tuple(found) for region, found in values.items() if found})

    def of_regions(self, regions: Sequence[str]) -> "Values":
        """Return the sample of these regions alone."""
        return Values(self.question, {region: found for region, found in self.values.items() if region in regions})

    @property
    def sizes(self) -> dict[str, int]:
        """The number of answers of each region."""
        return {region: len(found) for region, found in self.values.items()}

    @property
    def sum(self) -> int:
        """The sum of all numbers: Y."""
        return sum(map(sum, self.values.values()))

    @property
    def testable(self) -> bool:
        """Return whether two regions answered."""
        return len(self.values) > 1

    @property
    def always_the_same(self) -> bool:
        """Return whether every assignment gives the same statistic: all numbers are equal."""
        return len({value for found in self.values.values() for value in found}) < 2

    def parts(self, orders: Orders) -> Parts:
        """Return for each region the direction of each order: above 0 where the region's numbers are high."""
        sizes = list(self.sizes.values())
        sums = region_sums([value for found in self.values.values() for value in found], orders, sizes)
        directions = sum(sizes) * sums - np.array(sizes)[:, None] * self.sum
        directions *= np.array([WEIGHT // size for size in sizes])[:, None]
        return dict(zip(self.values, directions, strict=True))

    @staticmethod
    def statistic(parts: Parts) -> Whole:
        """Return T, the sum of the squared directions. It is computed beyond 64 bits where it may need them."""
        largest = max(int(np.abs(direction).max()) for direction in parts.values())
        exact = np.int64 if len(parts) * largest**2 < 2**63 else object
        total: Whole = sum(direction.astype(exact) ** 2 for direction in parts.values())  # type: ignore[assignment]
        return total

    @staticmethod
    def as_extreme(null: Whole, observed: int) -> int:
        """Return how many of the null's T are at least the observed one."""
        return int((null >= observed).sum())

    def min_p(self) -> Fraction:
        """Return the smallest p-value that this question can give, without the bound; the numbers must be 0 or 1."""
        return smallest.withheld(list(self.sizes.values()), self.sum)


Sample = Wording | Values
