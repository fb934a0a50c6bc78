"""Compute the geometry of a question's strip: the distances inside each region and between each two, as dots.

The dots are computed from the same words as the analysis; the numbers beside them are the analysis' own means.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from runner_core.comparison.words import MILLION, distances

WIDTH, HEIGHT = 300.0, 28.0
MAX_DOTS = 1000  # of one question; with more answers, the means alone are drawn
_MIDDLE, _STEP, _LEVELS = HEIGHT / 2, 4, 3  # dots at one place are stacked around the middle
_PLACES = 100  # so many places of dots fit beside each other

Sets = Mapping[str, Sequence[frozenset[str]]]  # of words, by region


@dataclass(frozen=True)
class Line:
    """The distances inside one region, or across two. `at` is the mean's place on the axis from 0 to 1.

    `dots` is the path of the dots, "" where none are drawn; `pairs` the number of pairs of answers.
    """

    name: str
    across: bool
    mean: float
    at: float
    dots: str
    pairs: int


def strip(question: Mapping[str, Any], sets: Sets) -> list[Line]:
    """Return the lines of one question of a result. `sets` has the words of each answer whose wording is compared."""
    regions = sorted(question["regions"])  # as the keys of `across` name them; a stored result has its own order
    places, start = {}, 0
    for region in regions:
        places[region] = range(start, start + len(sets.get(region, ())))
        start += len(places[region])
    few = start * (start - 1) // 2 <= MAX_DOTS
    matrix = distances([words for region in regions for words in sets.get(region, ())]) if few else []
    lines = []
    for region in regions:
        mean = question["regions"][region]["floor"]
        if mean is not None:
            lines.append(_line(f"inside {region}", False, mean, list(combinations(places[region], 2)), matrix))
    for a, b in combinations(regions, 2):
        mean = question["across"].get(f"{a}|{b}")
        if mean is not None:
            lines.append(_line(f"{a} and {b}", True, mean, list(product(places[a], places[b])), matrix))
    return lines


def _line(
    name: str, across: bool, mean: float, pairs: Sequence[tuple[int, int]], matrix: Sequence[Sequence[int]]
) -> Line:
    found = sorted(matrix[i][j] for i, j in pairs) if matrix else []
    return Line(name, across, mean, round(mean * WIDTH, 2), _dots(found), len(pairs))


def _dots(millionths: Sequence[int]) -> str:
    """Return the path of these distances: a line of no length for each, whose round ends are the dot."""
    stacked: Counter[int] = Counter()
    parts = []
    for distance in millionths:
        place = distance * _PLACES // MILLION
        level = min(stacked[place], 2 * _LEVELS)
        stacked[place] += 1
        y = _MIDDLE + (level + 1) // 2 * _STEP * (1 if level % 2 else -1)
        parts.append(f"M{distance / MILLION * WIDTH:.1f} {y:g}h.01")
    return "".join(parts)
