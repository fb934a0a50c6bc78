"""Regions whose runs gave the same text each time: at temperature 0, by chance, or from a cache."""

from collections.abc import Sequence

from runner_core.comparison.circumstances import cold_regions, runs_repeat
from runner_core.comparison.headline import Repeated
from runner_core.comparison.material import Material
from runner_core.comparison.tested import ModelTested


def repeated(material: Material, models: Sequence[ModelTested]) -> dict[str, Repeated]:
    """Return the models whose regions repeated themselves and differ, or may have their texts from a cache."""
    found = {one.model.id: _of_model(material, one) for one in models}
    return {name: one for name, one in found.items() if one.all_differ or one.cached}


def _of_model(material: Material, tested: ModelTested) -> Repeated:
    model = tested.model.id
    at_zero, repeating = cold_regions(material, model), _repeating(tested)
    worded = {r for key in tested.main for r, cell in tested.cells[key].items() if cell.worded}
    doubtful = runs_repeat(material, model, tested.cells)
    return Repeated(
        all_differ=set(repeating) == worded and _apart(tested),
        at_zero=set(repeating) <= at_zero,
        cached=tuple(region for region in repeating if region not in at_zero) if doubtful else (),
    )


def perhaps_cached(material: Material, tested: ModelTested) -> tuple[str, ...]:
    """Return the model's regions whose texts may be copies of one answer from a cache."""
    return _of_model(material, tested).cached


def _repeating(tested: ModelTested) -> list[str]:
    """Return the regions with the same text in all answers of each question, and two answers or more to one."""
    by_region = {region: [tested.cells[key][region] for key in tested.main] for region in tested.model.regions}
    return [
        region
        for region, cells in by_region.items()
        if any(cell.repeats() for cell in cells) and all(cell.repeats() or len(cell.worded) < 2 for cell in cells)
    ]


def _apart(tested: ModelTested) -> bool:
    """Return whether two regions differ in a question to which both have answers that repeat each other."""
    return any(
        (tested.spreads[key].across(a, b) or 0) > 0 and all(tested.cells[key][r].repeats() for r in (a, b))
        for key in tested.main
        for a, b in tested.pairs
    )
