"""What a job could have found, and who gave its labels: the parts of the result that describe the job."""

from collections import Counter
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from runner_core.comparison.circumstances import equal_conditions, temperatures
from runner_core.comparison.material import REFUSED, Material, Model
from runner_core.comparison.plan import min_p_question, runs_for_question
from runner_core.refusals.detector import by_language
from runner_core.refusals.scored import MODEL

MIN_LABELS = 30  # doubly labelled answers, below which no kappa is told
SOURCES = ("filter", "provider", "rules", "embedding", "judge", "human")


def design(material: Material) -> dict[str, Any]:
    """Return the job's size and what it could have found."""
    regions = max((len(model.regions) for model in material.models), default=0)
    smallest = min_p_question(regions, material.runs)
    answered = sum(call.category is not None for call in material.calls)
    usable = sum(call.usable for call in material.calls)
    return {
        "regions": list(material.regions),
        "models": len(material.models),
        "questions": len(material.questions),
        "controls": list(material.controls),
        "runs": material.runs,
        "planned": material.planned,
        "usable": usable,
        "non_answers": answered - usable,
        "errors": material.planned - answered,
        "temperature": {model.id: _temperatures(material, model) for model in material.models},
        "seeds": {model.id: _seeds(material, model) for model in material.models},
        "equal_conditions": all(equal_conditions(material, model.id, model.regions) for model in material.models),
        "min_p_question": None if smallest is None else float(smallest),
        "runs_needed_for_one_question": runs_for_question(regions),
    }


def labels(material: Material) -> dict[str, Any]:
    """Return how many categories each source gave, how well the detector finds refusals, and how people label.

    `detector` has the measured precision and recall for each language of the answers, None for one not measured.
    `kappas` compares people with the detector, with the judge and with each other, withheld or not; `n` answers have
    both labels, and below 30 there is no kappa: Cohen, A coefficient of agreement for nominal scales, 1960. `kappa` and
    `doubly_labelled` are those of the detector. `counting_judge`, only where a judge's labels count: its kappa with
    people over all jobs, and how often it was silent there and here.
    """
    sources = Counter(call.source for call in material.calls if call.category is not None)
    stage = "rules or embedding" if sources["embedding"] or MODEL in material.detector.split("+") else "rules"
    measured, languages = by_language(stage), {call.language or "und" for call in material.calls if call.usable}
    doubly = _doubly(material)
    kappas = {name: _measured(pairs) for name, pairs in doubly.items()}
    return {name: sources[name] for name in SOURCES} | {
        "detector": {language: measured.get(language) for language in sorted(languages)},
        "kappa": kappas["detector"]["kappa"],
        "doubly_labelled": kappas["detector"]["n"],
        "kappas": kappas,
        **_counting_judge(material),
    }


def _counting_judge(material: Material) -> dict[str, Any]:
    if material.judge is None:
        return {}
    asked = [call for call in material.calls if call.for_judge]
    silent = sum(call.judged is None for call in asked)
    return {"counting_judge": asdict(material.judge) | {"answers_here": len(asked), "silent_here": silent}}


def _doubly(material: Material) -> dict[str, list[tuple[bool, bool]]]:
    """Return what a person says of each answer with what the other says, withheld or not.

    The person is the one who labelled last; the other person is the one who labelled last before.
    """
    found: dict[str, list[tuple[bool, bool]]] = {"detector": [], "judge": [], "person": []}
    for call in material.calls:
        if call.category is None or call.source != "human":
            continue
        before = call.by_people[1] if len(call.by_people) > 1 else None
        for name, other in (("detector", call.detected), ("judge", call.judged), ("person", before)):
            if other is not None:
                found[name].append((call.withheld, other in REFUSED))
    return found


def _measured(pairs: list[tuple[bool, bool]]) -> dict[str, Any]:
    return {"kappa": kappa(pairs) if len(pairs) >= MIN_LABELS else None, "n": len(pairs)}


def kappa(pairs: list[tuple[bool, bool]]) -> float | None:
    """Return Cohen's kappa of two sources; None where chance alone makes all labels equal."""
    n = len(pairs)
    one, other = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    expected = Fraction(one * other + (n - one) * (n - other), n * n) if n else Fraction(1)
    if expected == 1:
        return None
    return float((Fraction(sum(a == b for a, b in pairs), n) - expected) / (1 - expected))


def _temperatures(material: Material, model: Model) -> list[float | None]:
    found = {temperature for c in material.conditions if c.model == model.id for temperature in temperatures(c)}
    return sorted(found, key=lambda value: (value is not None, value or 0))


def _seeds(material: Material, model: Model) -> list[str]:
    return sorted({c.seeds for c in material.conditions if c.model == model.id})
