"""The smallest p-values that a test can give: they tell whether a job could have found anything. No numpy.

Where a permutation test has few assignments, even the most extreme one is not rare enough for a small p-value.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import permutations
from math import comb, factorial, prod

WEIGHT = 2520  # the least common multiple of 1..10: 2520 / n is whole for each number of runs
DRAWS = 9_999
MAX_ASSIGNMENTS = 20_000  # up to here all assignments are counted, beyond they are drawn
FLOOR = Fraction(1, DRAWS + 1)
MAX_ORDERED = 6  # regions whose orders are all tried: 720

Margins = tuple[dict[str, int], int]  # of a question: the answers of each region, and how many of them are withheld


def assignments_of(sizes: Iterable[int]) -> int:
    """Return M, the number of assignments of answers to regions of these sizes."""
    sizes = list(sizes)
    return factorial(sum(sizes)) // prod(map(factorial, sizes))


def wording(sizes: Iterable[int]) -> Fraction:
    """Return the smallest p-value of one question's wording: regions of equal size may change places.

    It has no lower bound, so that a model can multiply it. Regions without an answer don't count.
    """
    present = [size for size in sizes if size]
    same = prod(factorial(present.count(size)) for size in set(present))
    return Fraction(same, assignments_of(present))


def withheld(sizes: Sequence[int], refused: int) -> Fraction:
    """Return the smallest p-value of one question's withheld answers, given how many of them are withheld."""
    sizes = [size for size in sizes if size]
    total = sum(sizes)
    best: dict[int, tuple[int, int]] = {0: (0, 1)}  # withheld so far -> the greatest T, the ways that have it
    for size in sizes:
        grown: dict[int, tuple[int, int]] = {}
        for so_far, (t, ways) in best.items():
            for mine in range(min(size, refused - so_far) + 1):
                new = t + _direction(total, size, mine, refused) ** 2, ways * comb(size, mine)
                old = grown.get(so_far + mine, (-1, 0))
                grown[so_far + mine] = (new[0], new[1] + old[1]) if new[0] == old[0] else max(new, old)
        best = grown
    return Fraction(best[refused][1], comb(total, refused))


def wording_of_model(questions: Iterable[Iterable[int]]) -> Fraction:
    """Return the smallest p-value of a model's wording; `questions` has the sizes of each."""
    return bounded(prod(map(wording, questions), start=Fraction(1)))


def withheld_of_model(questions: Sequence[Margins]) -> Fraction | None:
    """Return the smallest p-value of a model's withheld answers: in every question the same regions withhold.

    For each order of the regions, each question's withheld answers fill the regions in that order. The distinct
    outcomes with the greatest T count. None for more than six regions, whose orders are too many.
    """
    regions = sorted({region for sizes, _ in questions for region, size in sizes.items() if size})
    if len(regions) > MAX_ORDERED:
        return None
    outcomes: dict[tuple[tuple[int, ...], ...], tuple[int, Fraction]] = {}
    for order in permutations(regions):
        filled = [_filled(order, sizes, refused) for sizes, refused in questions]
        outcome = tuple(tuple(shares[region] for region in regions) for shares in filled)
        if outcome not in outcomes:
            outcomes[outcome] = _t_and_chance(regions, questions, filled)
    most = max(t for t, _ in outcomes.values())
    return bounded(sum((chance for t, chance in outcomes.values() if t == most), Fraction(0)))


def bounded(p: Fraction) -> Fraction:
    """Return the p-value, or the smallest one that 9,999 draws can give."""
    return max(p, FLOOR)


def _direction(total: int, size: int, mine: int, refused: int) -> int:
    return (total * mine - size * refused) * (WEIGHT // size)


def _filled(order: Sequence[str], sizes: dict[str, int], refused: int) -> dict[str, int]:
    shares = {}
    for region in order:
        shares[region] = min(sizes.get(region, 0), refused)
        refused -= shares[region]
    return shares


def _t_and_chance(
    regions: Sequence[str], questions: Sequence[Margins], filled: Sequence[dict[str, int]]
) -> tuple[int, Fraction]:
    sums, ways, number = dict.fromkeys(regions, 0), 1, 1
    for (sizes, refused), shares in zip(questions, filled, strict=True):
        total = sum(sizes.values())
        number *= comb(total, refused)
        for region, size in sizes.items():
            if size:
                sums[region] += _direction(total, size, shares[region], refused)
                ways *= comb(size, shares[region])
    return sum(d * d for d in sums.values()), Fraction(ways, number)
