"""The sentence above a result. Every number in it stands in the result; no adjective is computed. Section 3."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner_core.comparison import power
from runner_core.comparison.plan import runs_for_model, runs_for_question
from runner_core.comparison.verdict import listed

LEVEL = 0.05
ADDED_PLACE = power.ADDED.index(0.2)
OF_TEXTS = ("wording", "facts")  # the endpoints that compare texts: copies of one text count as one answer
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

REPEATED = "Each region repeated itself word for word, and the regions differ."
DETERMINISTIC = f"{REPEATED} Sampling chance is excluded, but these are single texts: read them."
SINGLE_TEXTS = f"{REPEATED} These are single texts: read them."
PERHAPS_CACHED = f"{REPEATED} The texts may come from a cache, so that all runs count as one: read them."
SOME_CACHED = (
    "Not enough evidence: {} repeated {} word for word in every question, without a temperature of 0. "
    "The texts may come from a cache, so that all runs count as one, and one answer can't tell a region from chance."
)
ALL_WITHHELD = (
    "Not enough evidence: every usable answer was withheld, in every region. "
    "Where no answer says more than another, regions can't be told apart."
)
PROMPTS = "The regions have different system prompts: this is a difference of region and its prompt."

Model = Mapping[str, Any]  # of the result


@dataclass(frozen=True)
class Repeated:
    """What regions of a model that repeated themselves word for word allow to say.

    `all_differ`: every region repeated itself in every question, and two regions differ. `at_zero`: all were asked at
    temperature 0. `cached`: the regions whose texts may be copies of one answer from a cache.
    """

    all_differ: bool
    at_zero: bool
    cached: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What stands above the answers of regions that repeated themselves and differ."""
        if self.cached:
            return PERHAPS_CACHED
        return DETERMINISTIC if self.at_zero else SINGLE_TEXTS


def headline(result: Mapping[str, Any], repeated: Mapping[str, Repeated]) -> dict[str, str]:
    """Return the headline of a result: {"kind": difference, none or not_enough, "text"}.

    The first that fits: withheld answers differ, wording, facts; regions that repeat themselves and differ; too little
    to tell; no difference. Of several models the one with the smallest corrected p-value. `repeated` has the models in
    which regions repeated themselves. Wording and facts of texts that may come from a cache are no difference.
    """
    models: Sequence[Model] = result["models"]
    tests = sum(model[endpoint]["p"] is not None for model in models for endpoint in SENTENCES)
    cached = [name for name, one in repeated.items() if one.cached]
    for endpoint, sentence in SENTENCES.items():
        left_out = cached if endpoint in OF_TEXTS else ()
        found = [model for model in models if model[endpoint]["differs"] and model["model_id"] not in left_out]
        if found:
            first = min(found, key=lambda model: (model[endpoint]["p_holm"], model["model_id"]))
            texts = [sentence(first, tests)]
            if endpoint == "wording" and first["model_id"] in repeated:
                texts.append(repeated[first["model_id"]].sentence)
            prompts = [c for c in result["cautions"] if c["code"] == "system_prompts_differ"]
            if any(first["model_id"] in caution["models"] for caution in prompts):
                texts.append(PROMPTS)
            return {"kind": "difference", "text": " ".join(texts)}
    return _no_difference(result, repeated)


def _no_difference(result: Mapping[str, Any], repeated: Mapping[str, Repeated]) -> dict[str, str]:
    models: Sequence[Model] = result["models"]
    all_differ = [name for name, one in sorted(repeated.items()) if one.all_differ]
    if all_differ:
        return {"kind": "not_enough", "text": repeated[all_differ[0]].sentence}
    if _all_withheld(models):
        return {"kind": "not_enough", "text": ALL_WITHHELD}
    for model in models:
        if any(model[endpoint]["differs"] for endpoint in OF_TEXTS):  # without a cache it would be the headline
            regions = repeated[model["model_id"]].cached
            told = SOME_CACHED.format(listed(regions), "itself" if len(regions) == 1 else "themselves")
            return {"kind": "not_enough", "text": told}
    if not any(_could_differ(model) for model in models):
        return {"kind": "not_enough", "text": _not_enough(result)}
    return {"kind": "none", "text": _none(result)}


def percent(rate: float) -> str:
    """Return a rate in whole percent."""
    return f"{round(100 * rate)} %"


def p_text(p: float) -> str:
    """Return a p-value with four decimals, or with five where four would show 0."""
    return f"{p:.4f}" if p >= 0.0001 else f"{p:.5f}"


def _withheld(model: Model, tests: int) -> str:
    numbers = model["withheld"]
    pair = max((p for p in model["pairs"] if p["points"] is not None), key=lambda p: abs(p["points"]))
    low, high = sorted((pair["a"], pair["b"]), key=lambda region: numbers["regions"][region]["rate"])
    more, less = numbers["regions"][high], numbers["regions"][low]
    bounds = sorted((abs(pair["low"]), abs(pair["high"])))
    if pair["low"] < 0 < pair["high"]:
        bounds = [pair["low"], pair["high"]] if pair["points"] > 0 else [-pair["high"], -pair["low"]]
    size = f"difference {_points(abs(pair['points']))} points"
    if abs(pair["points"]) != abs(more["rate"] - less["rate"]):
        further = pair["b"] if pair["points"] > 0 else pair["a"]
        size = f"on the questions that both answered {further} withheld {_points(abs(pair['points']))} points more"
    text = (
        f"{model['model_id']} withheld its answer in {high} in {percent(more['rate'])} of {more['answers']} answers, "
        f"in {low} in {percent(less['rate'])} of {less['answers']} ({size}, "
        f"95 % interval {_points(bounds[0])} to {_points(bounds[1])}; p = {p_text(numbers['p_holm'])} {_after(tests)})."
    )
    controls = [numbers["controls"].get(region, {}).get("rate") for region in (high, low)]
    if None not in controls:
        text += f" On the control questions: {percent(controls[0])} and {percent(controls[1])}."
    return text


def _wording(model: Model, tests: int) -> str:
    numbers, questions = model["wording"], model["questions"]
    marked = sum(q["p_wording_bh"] is not None and q["p_wording_bh"] <= LEVEL for q in questions)
    size = (
        f"excess {numbers['excess']:.2f} over a floor of {numbers['floor']:.2f} "
        if numbers["floor"] is not None
        else ""
    )
    text = (
        f"{model['model_id']}'s answers differ between regions more than inside them: {size}"
        f"(p = {p_text(numbers['p_holm'])} {_after(tests)}). {marked} of {len(questions)} questions "
        f"{'is' if marked == 1 else 'are'} marked. Wording may differ without a difference in content."
    )
    if numbers["controls"]["excess"] is not None:
        text += f" On the control questions the excess is {numbers['controls']['excess']:.2f}."
    return text


def _facts(model: Model, tests: int) -> str:
    shares = {r: n["share"] for r, n in model["facts"]["regions"].items() if n["share"] is not None}
    high, low = max(shares, key=lambda r: shares[r]), min(shares, key=lambda r: shares[r])
    return (
        f"{model['model_id']} names {percent(shares[high])} of the listed facts in {high}, "
        f"{percent(shares[low])} in {low} (p = {p_text(model['facts']['p_holm'])} {_after(tests)})."
    )


SENTENCES: dict[str, Callable[[Model, int], str]] = {"withheld": _withheld, "wording": _wording, "facts": _facts}


def _all_withheld(models: Sequence[Model]) -> bool:
    """Return whether several regions answered, and withheld everything."""
    regions = [[n for n in model["withheld"]["regions"].values() if n["answers"]] for model in models]
    return any(len(found) > 1 for found in regions) and all(
        n["withheld"] == n["answers"] for found in regions for n in found
    )


def _could_differ(model: Model) -> bool:
    smallest = [model[endpoint]["min_p"] for endpoint in ("withheld", "wording")]
    return any(p is not None and p <= LEVEL for p in smallest)


def _not_enough(result: Mapping[str, Any]) -> str:
    design, models = result["design"], result["models"]
    if all(sum(bool(n["answers"]) for n in m["withheld"]["regions"].values()) < 2 for m in models):
        return "Not enough evidence: no model has a usable answer from two regions to a question that is no control."
    regions, runs = max(len(model["regions"]) for model in models), design["runs"]
    questions = design["questions"] - len(design["controls"])
    text = f"Not enough evidence: {NUMBERS[runs]} run{'s' if runs > 1 else ''} of each question."
    usable, of = runs, "runs"
    if design["usable"] < design["planned"]:
        text = f"{text[:-1]}, and {design['usable']} of {design['planned']} calls gave a usable answer."
        usable, of = usable_runs(design), "runs of usable answers"
    if runs == 1:
        text += " One answer per region can't tell a region from chance"
    else:
        text += " So few answers per region can't tell a region from chance"
    one = runs_for_question(regions, design["questions"] * len(models))
    whole = runs_for_model(questions, regions, 2 * len(models))
    could = [f"{one} {of} could mark a single question"] if one and one > usable else []
    if whole and whole > usable:
        asked = f"over {questions} questions" if questions > 1 else "of one question"
        could.append(f"{whole} {of} {asked} could test the model as a whole")
    return f"{text}; {', '.join(could)}." if could else f"{text}."


def usable_runs(design: Mapping[str, Any]) -> int:
    """Return the number of runs that the usable answers would make, rounded."""
    usable: int = design["usable"]
    return round(usable / (int(design["planned"]) / int(design["runs"])))


def _none(result: Mapping[str, Any]) -> str:
    design, models = result["design"], result["models"]
    text = "No difference found."
    regions = {len(model["regions"]) for model in models}
    questions = design["questions"] - len(design["controls"])
    # Where answers are missing, the job has the power of fewer runs.
    row = power.withheld(questions, usable_runs(design), max(regions))
    if row and len(regions) == 1:
        text += (
            f" With {row.runs} run{'s' if row.runs > 1 else ''} of {row.questions} question"
            f"{'s' if row.questions > 1 else ''} a difference of {_points(power.ADDED[ADDED_PLACE])} points "
            f"in withholding would have been found {round(100 * row.found[ADDED_PLACE])} times in 100, "
            "before any correction."
        )
    if all(model["wording"]["p"] is None for model in models):
        two = "runs" if design["runs"] == 1 else "answers to a question in a region"
        text += f" Wording was not tested: it needs two {two} or more."
    return text


def _points(difference: float) -> str:
    return str(round(100 * difference))


def _after(tests: int) -> str:
    return f"after correction for {tests} test{'s' if tests > 1 else ''}"
