"""Order and narrow a map of verdicts, and walk through its cells. Pure: the address of the page says what is wanted."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from runner_api.views.verdicts import DIFFERENT, Cell, HeatMap, Line

_FITS: dict[str, Callable[[Cell], bool]] = {
    "all": lambda cell: True,
    "different": lambda cell: cell.differs,
    "refused": lambda cell: cell.withheld > 0,
    "failed": lambda cell: cell.errors > 0,
}
SHOWS = tuple(_FITS)
ORDERS = ("difference", "job")


@dataclass(frozen=True, order=True)
class Place:
    """A cell of a map: its question and its model."""

    question: str
    model: str


@dataclass(frozen=True)
class Around:
    """The cells around one: before and behind it, and the next ones that differ. None where there is none."""

    previous: Place | None
    next: Place | None
    previous_different: Place | None
    next_different: Place | None


def narrowed(heat: HeatMap, show: str, order: str) -> HeatMap:
    """Return the map with the questions that have a cell of this kind, in this order."""
    return replace(heat, lines=_chosen(heat.lines, show, order), controls=_chosen(heat.controls, show, order))


def numbers(heat: HeatMap) -> dict[str, int]:
    """Return how many questions each of SHOWS leaves."""
    return {show: sum(_fits(line, show) for line in heat.all_lines) for show in SHOWS}


def around(heat: HeatMap, question: str, model: str) -> Around:
    """Return what stands around a cell in a map; from a cell that the map does not show, the way leads to its ends."""
    places = [
        (Place(line.question["id"], cell.model), cell.differs)
        for line in heat.all_lines
        for cell in line.cells
        if cell is not None
    ]
    here = next((number for number, (place, _) in enumerate(places) if place == Place(question, model)), None)
    before, behind = places[:here], places[here + 1 :] if here is not None else places
    return Around(
        before[-1][0] if before and here is not None else None,
        behind[0][0] if behind else None,
        next((place for place, differs in reversed(before) if differs), None) if here is not None else None,
        next((place for place, differs in behind if differs), None),
    )


def _chosen(lines: list[Line], show: str, order: str) -> list[Line]:
    found = [line for line in lines if _fits(line, show)]
    return found if order == "job" else sorted(found, key=_difference)  # a stable sort: else in the job's order


def _fits(line: Line, show: str) -> bool:
    return show == "all" or any(_FITS[show](cell) for cell in line.cells if cell)


def _difference(line: Line) -> tuple[int, int, float]:
    """Return the key that puts most different questions first: those that are not marked are not ordered by chance."""
    marked = [cell for cell in line.cells if cell and cell.differs]
    if not marked:
        return len(DIFFERENT), 0, 0.0
    kind = min(DIFFERENT.index(cell.verdict) for cell in marked)
    size = max(cell.size for cell in marked if cell.verdict == DIFFERENT[kind])
    return kind, -len(marked), -size
