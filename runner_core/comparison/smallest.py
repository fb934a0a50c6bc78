"""The smallest p-values that a test can give: they tell whether a job could have found anything. No numpy.

Where a permutation test has few assignments, even the most extreme one is not rare enough for a small p-value.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, factorial, prod

WEIGHT = 2520  # the least common multiple of 1..10: 2520 / n is whole for each number of runs
DRAWS = 9_999
MAX_ASSIGNMENTS = 20_000  # up to here all assignments are counted, beyond they are drawn
FLOOR = Fraction(1, DRAWS + 1)

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


@dataclass(frozen=True)
class Concentrated:
    """The withheld answers of every question in as few regions as possible: `statistic` is the T of this outcome.

    `p`: the probability of such an outcome, without a lower bound; None where it is not known.
    """

    statistic: int
    p: Fraction | None


def withheld_of_model(questions: Sequence[Margins]) -> Concentrated:
    """Return the outcome that tells how small the p-value of a model's withheld answers can be.

    In each question the withheld answers fill the regions in the same order. Where all regions have equally many
    answers in each question, no outcome has a greater T, and every order has the same T: `p` is the smallest p-value.
    Else another outcome may have a greater T, and which one it is takes too long to find: `p` is None, and the model's
    draws tell the p-value of this outcome. Questions in which all or no answers are withheld always have the T 0.
    """
    varying = [(sizes, refused) for sizes, refused in questions if 0 < refused < sum(sizes.values())]
    regions = sorted({region for sizes, _ in varying for region, size in sizes.items() if size})
    if not varying:
        return Concentrated(0, Fraction(1))
    found = []
    for place in range(len(regions)):
        filled = [_filled(regions[place:] + regions[:place], *question) for question in varying]
        found.append((_t(regions, varying, filled), filled))
    t, filled = max(found, key=lambda one: one[0])
    if any(len({sizes.get(region, 0) for region in regions}) > 1 for sizes, _ in varying):
        return Concentrated(t, None)
    alike = Counter(tuple(shares[region] for shares in filled) for region in regions)
    outcomes = factorial(len(regions)) // prod(map(factorial, alike.values()))
    chances = (_chance(*question, shares) for question, shares in zip(varying, filled, strict=True))
    return Concentrated(t, outcomes * prod(chances, start=Fraction(1)))


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


def _t(regions: Sequence[str], questions: Sequence[Margins], filled: Sequence[dict[str, int]]) -> int:
    sums = dict.fromkeys(regions, 0)
    for (sizes, refused), shares in zip(questions, filled, strict=True):
        total = sum(sizes.values())
        for region, size in sizes.items():
            if size:
                sums[region] += _direction(total, size, shares[region], refused)
    return sum(d * d for d in sums.values())


def _chance(sizes: dict[str, int], refused: int, shares: dict[str, int]) -> Fraction:
    ways = prod(comb(size, shares[region]) for region, size in sizes.items() if size)
    return Fraction(ways, comb(sum(sizes.values()), refused))
