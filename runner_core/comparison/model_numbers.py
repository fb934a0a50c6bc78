"""The numbers of one model in the result: rates, wording, facts, pairs. Everything is JSON."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import fsum
from statistics import median
from typing import Any

from runner_core.comparison.cells import Cell
from runner_core.comparison.circumstances import equal_conditions
from runner_core.comparison.corrected import Corrected
from runner_core.comparison.families import LEVEL
from runner_core.comparison.intervals import bounds, difference, rate
from runner_core.comparison.material import Material
from runner_core.comparison.same_model import same_model
from runner_core.comparison.samples import Values
from runner_core.comparison.smallest import WEIGHT
from runner_core.comparison.spread import excess, mean
from runner_core.comparison.tested import FACTS, TEXT, WITHHELD, ModelTested, Pair
from runner_core.refusals import CATEGORIES


def model_numbers(material: Material, tested: ModelTested, families: Corrected) -> dict[str, Any]:
    """Return what the result says of one model, without its questions."""
    regions = tested.model.regions
    return {
        "model_id": tested.model.id,
        "regions": list(regions),
        "equal_conditions": equal_conditions(material, tested.model.id, regions),
        "withheld": _test(tested, families, WITHHELD, "t")
        | {
            "regions": {region: _rate(tested, tested.main, region) for region in regions},
            "controls": {region: _rate(tested, tested.controls, region) for region in regions if tested.controls},
        },
        "wording": _test(tested, families, TEXT, "s")
        | _spread(tested, tested.main)
        | {"low": None, "high": None, "controls": {"excess": _spread(tested, tested.controls)["excess"]}},
        "facts": _test(tested, families, FACTS, "t") | {"regions": _facts(material, tested)},
        "pairs": [_pair(material, tested, families, pair) for pair in tested.pairs],
    }


def number(p: Fraction | None) -> float | None:
    """Return the nearest float of a p-value."""
    return None if p is None else float(p)


def fact_share(values: Sequence[int], listed: int) -> float | None:
    """Return the mean share of the listed facts that these answers name; None without an answer."""
    return sum(values) / (WEIGHT // listed * listed * len(values)) if values else None


def _test(tested: ModelTested, families: Corrected, endpoint: str, statistic: str) -> dict[str, Any]:
    whole = tested.tests[endpoint].whole
    return {
        "p": None if whole is None else float(whole.p),
        "p_holm": number(families.models.get((tested.model.id, endpoint))),
        "differs": families.differs(tested.model.id, endpoint),
        "min_p": number(tested.min_p(endpoint)),
        statistic: None if whole is None else str(whole.statistic),
    }


def _rate(tested: ModelTested, questions: Sequence[str], region: str) -> dict[str, Any]:
    cells = [tested.cells[key][region] for key in questions]
    found = rate([(cell.withheld, len(cell.usable)) for cell in cells if cell.usable])
    outer = bounds([(cell.withheld, len(cell.usable), cell.errors) for cell in cells])
    categories = Counter(call.category for cell in cells for call in cell.calls)
    languages = Counter(call.language or "und" for cell in cells for call in cell.usable)
    words = [length for cell in cells for length in cell.lengths]
    return {
        "rate": found and found.value,
        "low": found and found.low,
        "high": found and found.high,
        "answers": sum(len(cell.usable) for cell in cells),
        "withheld": sum(cell.withheld for cell in cells),
        "non_answers": sum(cell.non_answers for cell in cells),
        "errors": sum(cell.errors for cell in cells),
        "range": list(outer or (None, None)),
        "categories": {name: categories[name] for name in CATEGORIES if categories[name]},
        "languages": dict(sorted(languages.items())),
        "words_median": float(median(words)) if words else None,
    }


def _spread(tested: ModelTested, questions: Sequence[str]) -> dict[str, Any]:
    spreads = [tested.spreads[key] for key in questions]
    found = mean([excess(spreads, *pair) for pair in tested.pairs])
    return {name: found and getattr(found, name) for name in ("floor", "across", "excess")}


def _facts(material: Material, tested: ModelTested) -> dict[str, Any]:
    regions: dict[str, Any] = {}
    samples = [s for key, s in tested.samples[FACTS].items() if key in tested.main and isinstance(s, Values)]
    for region in tested.model.regions if samples else ():
        found = [(s.values.get(region, ()), len(material.facts[s.question])) for s in samples]
        shares = [share for values, listed in found if (share := fact_share(values, listed)) is not None]
        regions[region] = {
            "share": fsum(shares) / len(shares) if shares else None,
            "answers": sum(len(values) for values, _ in found),
        }
    return regions


def _pair(material: Material, tested: ModelTested, families: Corrected, pair: Pair) -> dict[str, Any]:
    a, b = pair
    cells = [(tested.cells[key][a], tested.cells[key][b]) for key in tested.main]
    shared = [(one, other) for one, other in cells if one.usable and other.usable]
    points = difference([_counts(one) for one, _ in shared], [_counts(other) for _, other in shared])
    apart = excess([tested.spreads[key] for key in tested.main], a, b)
    numbers: dict[str, Any] = {
        "a": a,
        "b": b,
        "points": points and points.value,
        "low": points and points.low,
        "high": points and points.high,
    }
    for endpoint, name, statistic in ((WITHHELD, "withheld", "t"), (TEXT, "wording", "s")):
        whole = tested.pairs[pair][endpoint]
        adjusted = families.pairs.get((tested.model.id, endpoint, pair))
        numbers |= {
            f"p_{name}": None if whole is None else float(whole.p),
            f"p_{name}_holm": number(adjusted),
            f"{name}_differs": _differs(tested, families, endpoint, pair),
            f"{statistic}_{name}": None if whole is None else str(whole.statistic),
        }
    numbers |= {name: apart and getattr(apart, name) for name in ("floor", "across", "excess")}
    numbers |= {f"{side}_excess": apart and getattr(apart, side) for side in ("low", "high")}
    differs = _differs(tested, families, TEXT, pair)
    return numbers | {"same_model": same_model(material, tested, pair, differs=differs)}


def _differs(tested: ModelTested, families: Corrected, endpoint: str, pair: Pair) -> bool:
    """Return whether a pair differs: its model does, and it does among the model's pairs."""
    adjusted = families.pairs.get((tested.model.id, endpoint, pair), Fraction(1))
    return families.differs(tested.model.id, endpoint) and adjusted <= LEVEL


def _counts(cell: Cell) -> tuple[int, int]:
    return cell.withheld, len(cell.usable)
