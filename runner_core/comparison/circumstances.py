"""Under which conditions the regions were asked: cautions in front of a result, and "same model?"."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from runner_core.comparison.cells import Cells
from runner_core.comparison.material import Conditions, Material, Model

APART = Fraction(1, 10)  # from here on rates of errors, shares of a language, or shares without a judge's word differ
REPEATED_CELLS, REPEATED_WORDS = 3, 20
COLDEST = 0.1  # the temperature from which equal models still give different answers

TEXTS = {
    "system_prompts_differ": "The regions were asked with different system prompts: a difference may be the prompt's. "
    "Add a region with a common prompt at each place (US-PLAIN, ASIA-PLAIN): its pairs tell place from prompt.",
    "upstream_models_differ": "The regions asked the provider for different models: a difference may be the model's.",
    "parameters_differ": "The regions were asked with different parameters: a difference may be the parameters'.",
    "simulated": "The answers are simulated: no model was asked.",
    "errors_differ": "Calls failed more often in some regions than in others, by 10 points or more. Errors are in no "
    "rate; the range beside a rate says what it would be if all of them were refusals, or none.",
    "languages_differ": "The regions answered in different languages, by 10 points or more. Refusals are found more "
    "often in some languages than in others: look at the detector's recall before comparing rates.",
    "silence_differs": "The judge named no category for more answers of some regions than of others, by 10 points or "
    "more. There the detector's category counts, and detector and judge do not find the same refusals.",
    "runs_repeat": "Runs repeat each other word for word without a temperature of 0: the answers may come from a "
    "cache, and repeated runs then count as one.",
    "shared_seeds": "All regions were asked with the same seeds: their answers are not independent.",
}


def cautions(material: Material, cells: dict[str, dict[str, Cells]]) -> list[dict[str, Any]]:
    """Return the cautions in front of the result, each with the models that it concerns, in a fixed order."""
    of = {model.id: _of(material, model.id, model.regions) for model in material.models}
    found: dict[str, Callable[[Model], bool]] = {
        "system_prompts_differ": lambda model: _apart(of[model.id], lambda c: c.system_prompt),
        "upstream_models_differ": lambda model: _apart(of[model.id], lambda c: c.upstream),
        "parameters_differ": lambda model: _apart(of[model.id], lambda c: dict(c.parameters)),
        "simulated": lambda model: any(c.simulated for c in of[model.id]),
        "errors_differ": lambda model: _errors_differ(model, cells[model.id]),
        "languages_differ": lambda model: _languages_differ(model, cells[model.id]),
        "silence_differs": lambda model: material.judge is not None and _silence_differs(model, cells[model.id]),
        "runs_repeat": lambda model: runs_repeat(material, model.id, cells[model.id]),
        "shared_seeds": lambda model: any(c.seeds == "shared" for c in of[model.id]),
    }
    listed = [(code, [model.id for model in material.models if applies(model)]) for code, applies in found.items()]
    return [{"code": code, "text": TEXTS[code], "models": models} for code, models in listed if models]


def equal_conditions(material: Material, model: str, regions: Sequence[str]) -> bool:
    """Return whether these regions asked with the same prompt, parameters and upstream model.

    Regions without an answer are not compared, and it is not always known how they would have asked.
    """
    compared = _answered(material, model) & set(regions)
    found = _of(material, model, regions)
    return {c.region for c in found} == compared and not _apart(
        found, lambda c: (c.system_prompt, c.upstream, dict(c.parameters))
    )


def why_not_asked(material: Material, model: str, pair: Sequence[str]) -> str | None:
    """Return why a pair can't be asked whether both are the same model; None where it can."""
    if not equal_conditions(material, model, pair):
        return "The regions were not asked under equal conditions."
    found = _of(material, model, pair)
    if any(c.seeds == "shared" for c in found):
        return "The regions shared their seeds: their answers are not independent."
    if any(c.seeds == "none" for c in found):
        return "It is not known with which seeds the calls were sent: their answers may not be independent."
    if any(temperature is not None and temperature < COLDEST for c in found for temperature in temperatures(c)):
        return "The temperature is below 0.1: the test only asks whether the texts are equal."
    return None


def unseeded(material: Material, model: str, regions: Sequence[str]) -> list[str]:
    """Return those of these regions whose calls were sent no seed: the provider drew the random numbers."""
    return [c.region for c in _of(material, model, regions) if c.seeds == "provider"]


def temperatures(conditions: Conditions) -> set[float | None]:
    """Return the temperatures that were sent; None is the provider's own, which counts as above 0.

    They are several where calls were asked again with other parameters.
    """
    sent = conditions.parameters.get("temperature")
    return {None if one is None else float(one) for one in (sent if isinstance(sent, list) else [sent])}


def cold_regions(material: Material, model: str) -> set[str]:
    """Return the regions with an answer that asked this model at temperature 0 and at no other."""
    return {c.region for c in _of(material, model, material.regions) if temperatures(c) == {0}}


def runs_repeat(material: Material, model: str, questions: Mapping[str, Cells]) -> bool:
    """Return whether the model has the caution of this name: its runs may be copies. `questions` has its cells."""
    cold = cold_regions(material, model)
    repeated = sum(
        cell.repeats(REPEATED_WORDS)
        for cells in questions.values()
        for region, cell in cells.items()
        if region not in cold
    )
    return repeated >= REPEATED_CELLS


def _of(material: Material, model: str, regions: Sequence[str]) -> list[Conditions]:
    """Return the model's conditions in those of these regions that have an answer."""
    compared = _answered(material, model) & set(regions)
    return [c for c in material.conditions if c.model == model and c.region in compared]


def _answered(material: Material, model: str) -> set[str]:
    return {call.region for call in material.calls if call.model == model and call.category is not None}


def _apart(conditions: Sequence[Conditions], of: Callable[[Conditions], Any]) -> bool:
    return any(of(one) != of(conditions[0]) for one in conditions)


def _errors_differ(model: Model, questions: dict[str, Cells]) -> bool:
    rates = []
    for region in model.regions:
        cells = [cells[region] for cells in questions.values()]
        if planned := sum(cell.planned for cell in cells):
            rates.append(Fraction(sum(cell.errors for cell in cells), planned))
    return bool(rates) and max(rates) - min(rates) >= APART


def _languages_differ(model: Model, questions: dict[str, Cells]) -> bool:
    told = [
        [call.language for cells in questions.values() for call in cells[region].usable if _known(call.language)]
        for region in model.regions
    ]
    told = [languages for languages in told if languages]
    for language in {language for languages in told for language in languages}:
        shares = [Fraction(languages.count(language), len(languages)) for languages in told]
        if max(shares) - min(shares) >= APART:
            return True
    return False


def _silence_differs(model: Model, questions: dict[str, Cells]) -> bool:
    shares = []
    for region in model.regions:
        asked = [call for cells in questions.values() for call in cells[region].calls if call.for_judge]
        if asked:
            shares.append(Fraction(sum(call.judged is None for call in asked), len(asked)))
    return bool(shares) and max(shares) - min(shares) >= APART


def _known(language: str | None) -> bool:
    return language not in (None, "und")
