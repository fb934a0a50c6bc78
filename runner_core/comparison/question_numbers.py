"""The numbers of one question of one model in the result, with its verdict. Everything is JSON."""

from itertools import combinations
from math import fsum
from typing import Any

from runner_core.comparison.cells import Cell
from runner_core.comparison.corrected import Corrected
from runner_core.comparison.material import Material
from runner_core.comparison.model_numbers import fact_share, number
from runner_core.comparison.samples import Values
from runner_core.comparison.tested import FACTS, TEXT, WITHHELD, ModelTested
from runner_core.comparison.verdict import happened, verdict


def question_numbers(material: Material, tested: ModelTested, families: Corrected, key: str) -> dict[str, Any]:
    """Return what the result says of one question of one model."""
    cells, model, regions = tested.cells[key], tested.model.id, tested.model.regions
    smallest = {endpoint: tested.min_p_of(endpoint, key) for endpoint in (WITHHELD, TEXT)}
    known = [p for p in smallest.values() if p is not None]
    marked = {endpoint: families.marked(model, endpoint, key) for endpoint in smallest}
    spread = tested.spreads[key]
    pairs = list(combinations(regions, 2))
    acrosses = {f"{a}|{b}": across for a, b in pairs if (across := spread.across(a, b)) is not None}
    excesses = [acrosses[f"{a}|{b}"] - floor for a, b in pairs if (floor := spread.floor(a, b)) is not None]
    rates = [cell.withheld / len(cell.usable) for cell in cells.values() if cell.usable]
    return {
        "question_id": key,
        "control": key in tested.controls,
        "verdict": verdict(cells, withheld=marked[WITHHELD], wording=marked[TEXT], smallest=min(known, default=None)),
        "happened": happened(cells),
        **_tests(tested, families, key),
        "min_p": number(min(known, default=None)),
        "min_p_withheld": number(smallest[WITHHELD]),
        "min_p_wording": number(smallest[TEXT]),
        "alone": any(families.alone(endpoint, p) for endpoint, p in smallest.items()),
        "points": max(rates) - min(rates) if len(rates) > 1 else None,
        "excess": fsum(excesses) / len(excesses) if excesses else None,
        "regions": {region: _region(material, tested, key, region, cells[region]) for region in regions},
        "across": acrosses,
    }


def _tests(tested: ModelTested, families: Corrected, key: str) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for endpoint, name, statistic in ((WITHHELD, "withheld", "t"), (TEXT, "wording", "s"), (FACTS, "facts", "t")):
        one = tested.tests[endpoint].questions.get(key)
        numbers[f"p_{name}"] = None if one is None else float(one.p)
        if endpoint != FACTS:
            numbers[f"p_{name}_bh"] = number(families.questions[endpoint].get((tested.model.id, key)))
        numbers[f"{statistic}_{name}"] = None if one is None else str(one.statistic)
    return numbers


def _region(material: Material, tested: ModelTested, key: str, region: str, cell: Cell) -> dict[str, Any]:
    facts = tested.samples[FACTS].get(key)
    return {
        "n": len(cell.usable),
        "withheld": cell.withheld,
        "worded": len(cell.worded),
        "non_answers": cell.non_answers,
        "errors": cell.errors,
        "floor": tested.spreads[key].within(region),
        "facts": fact_share(facts.values.get(region, ()), len(material.facts[key]))
        if isinstance(facts, Values)
        else None,
    }
