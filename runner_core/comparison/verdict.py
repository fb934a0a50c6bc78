"""The verdict of a question: what the answers of one model to it allow to say. Section 3 of the method."""

from collections.abc import Sequence
from fractions import Fraction

from runner_core.comparison.cells import Cell, Cells
from runner_core.comparison.families import LEVEL

VERDICTS = (
    "not_enough",
    "withheld_differs",
    "wording_differs",
    "identical",
    "cannot_tell",
    "no_difference_found",
)


def verdict(cells: Cells, *, withheld: bool, wording: bool, smallest: Fraction | None) -> str:
    """Return the first verdict that fits.

    `withheld`, `wording`: whether the question is marked in these endpoints. `smallest`: the smallest p-value that
    one of its tests can give, None without a test.
    """
    if sum(bool(cell.usable) for cell in cells.values()) < 2:
        return "not_enough"
    if withheld:
        return "withheld_differs"
    if wording:
        return "wording_differs"
    if _identical(cells):
        return "identical"
    return "cannot_tell" if smallest is None or smallest > LEVEL else "no_difference_found"


def happened(cells: Cells) -> str:
    """Return what the regions did, in words: "ASIA withheld, EU and US answered"."""
    groups: dict[str, list[str]] = {}
    for region, cell in cells.items():
        groups.setdefault(_did(cell), []).append(region)
    return ", ".join(f"{listed(regions)} {did}" for did, regions in sorted(groups.items(), key=lambda group: group[1]))


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: "ASIA, EU and US"."""
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]


def _identical(cells: Cells) -> bool:
    """Return whether every usable answer has words, in two regions or more, and all have the same set of words."""
    sets = {words for cell in cells.values() for words in cell.sets}
    usable = [cell for cell in cells.values() if cell.usable]
    only_words = all(len(cell.worded) == len(cell.usable) for cell in usable)
    return len(sets) == 1 and sets != {frozenset()} and only_words and len(usable) > 1


def _did(cell: Cell) -> str:
    n, y = len(cell.usable), cell.withheld
    if not n:
        return "failed" if cell.errors == cell.planned else "gave no usable answer"
    if y in (0, n):
        return "withheld" if y else "answered"
    return f"withheld {y} of {n}"
