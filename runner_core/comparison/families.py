"""Corrections of p-values for the number of tests: section 9 of the method. Fractions, so that 0.05 is 0.05."""

from collections.abc import Mapping
from fractions import Fraction
from typing import TypeVar

K = TypeVar("K")

LEVEL = Fraction(1, 20)


def holm(family: Mapping[K, Fraction]) -> dict[K, Fraction]:
    """Return the p-values of a family corrected by Holm: A simple sequentially rejective procedure, 1979."""
    found: dict[K, Fraction] = {}
    largest = Fraction(0)
    for place, key in enumerate(sorted(family, key=family.__getitem__)):
        largest = max(largest, (len(family) - place) * family[key])
        found[key] = min(Fraction(1), largest)
    return found


def benjamini_hochberg(family: Mapping[K, Fraction]) -> dict[K, Fraction]:
    """Return the p-values corrected by Benjamini and Hochberg: Controlling the false discovery rate, 1995."""
    found: dict[K, Fraction] = {}
    smallest = Fraction(1)
    ordered = sorted(family, key=family.__getitem__)
    for rank in range(len(ordered), 0, -1):
        smallest = min(smallest, len(ordered) * family[ordered[rank - 1]] / rank)
        found[ordered[rank - 1]] = smallest
    return found
