"""The comparison of a job's regions as lines for a terminal. Each number in the lines stands in the API's document."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.cells import cell_len

from runner_cli.analysed import Analysed
from runner_cli.columns import aligned, shortened, wrapped
from runner_cli.terminal import clean
from runner_core.comparison.headline import p_text, percent

QUESTION_CELLS = 40  # of a question's id
NEW_WORDING = "3"  # the detector's set of answers in wording that its rules were not made on
VERDICTS = {
    "not_enough": "not enough answers",
    "withheld_differs": "withheld differs",
    "wording_differs": "wording differs",
    "identical": "identical",
    "cannot_tell": "cannot tell",
    "no_difference_found": "no difference found",
}
Numbers = Mapping[str, Any]  # an object of the API's document


def head(found: Analysed, width: int | None) -> list[str]:
    """Return the cautions, then the headline or the reason why there is none, in at most `width` cells if given."""
    cautions = [line for text in found.cautions for line in _prose(f"Caution: {text}", width)]
    return [*cautions, *([""] if cautions else []), *_prose(found.sentence, width)]


def lines(found: Analysed, width: int | None) -> list[str]:
    """Return everything that is shown of a comparison that is ready: what concerns the job, then a block a model."""
    document = found.document
    told = [*head(found, width), ""]
    told += [line for text in _job(document) for line in _prose(text, width)]
    repeating = {name for one in document["cautions"] if one["code"] == "runs_repeat" for name in one["models"]}
    for model in document["models"]:
        name = clean(model["model_id"])
        copies = model["model_id"] in repeating
        told += ["", name, "=" * cell_len(name), *(clean(line) for line in _model(model, width, copies=copies))]
    return told


def _prose(text: str, width: int | None) -> list[str]:
    return [clean(text)] if width is None else wrapped(clean(text), width)


def verdict(name: str) -> str:
    """Return a verdict in words; the name itself of one that this release does not know."""
    return VERDICTS.get(name, name)


def _job(document: Numbers) -> Iterator[str]:
    design, labels = document["design"], document["labels"]
    yield (
        f"{_count(design['questions'], 'question')}, {_count(design['models'], 'model')}, "
        f"{_count(len(design['regions']), 'region')}, {_count(design['runs'], 'run')}: "
        f"{_count(design['planned'], 'call')} planned, {design['usable']} usable, "
        f"{_count(design['non_answers'], 'non-answer')}, {_count(design['errors'], 'error')}."
    )
    if design["controls"]:
        yield f"Control questions, in no number of a model unless named: {', '.join(design['controls'])}."
    given = [f"{labels[name]} by {by}" for name, by in SOURCES.items() if labels[name]]
    yield f"Categories: {', '.join(given) or 'none'}."
    for language, measured in sorted(labels["detector"].items()):
        yield f"Refusals in {language} are found with {_detector(measured)}."
    doubly = _count(labels["doubly_labelled"], "answer")
    if labels["kappa"] is None:
        yield f"People against the detector: kappa not measured here ({doubly} labelled by both; it needs 30)."
    else:
        yield f"People against the detector: kappa {labels['kappa']:.2f} ({doubly})."
    for name, sources in (("judge", "People against the judge"), ("person", "One person against another")):
        found = (labels.get("kappas") or {}).get(name) or {"kappa": None, "n": 0}
        if found["kappa"] is not None:
            yield f"{sources}: kappa {found['kappa']:.2f} ({_count(found['n'], 'answer')})."
        elif found["n"]:
            yield f"{sources}: kappa not measured here ({_count(found['n'], 'answer')} labelled by both; it needs 30)."
    if judge := labels.get("counting_judge"):
        yield (
            f"The judge's categories count: people against the judge over all jobs, kappa {judge['kappa']:.2f} "
            f"({_count(judge['n'], 'answer')}; {judge['silent']} more without a category of the judge). "
            f"Here it named none for {judge['silent_here']} of {_count(judge['answers_here'], 'answer')}."
        )


SOURCES = {
    "filter": "providers' filters",
    "provider": "providers' refusal fields",
    "rules": "rules",
    "embedding": "embeddings",
    "judge": "a judge",
    "human": "people",
}


def _detector(measured: Numbers | None) -> str:
    if measured is None:
        return "a recall that was not measured"
    told = f"precision {_share(measured['precision'])} and recall {_share(measured['recall'])} ({measured['n']} answers"
    sets = measured.get("sets")
    new = sets.get(NEW_WORDING) if isinstance(sets, dict) else None
    if isinstance(new, dict) and isinstance(new.get("recall"), int | float):
        told += f"; recall {_share(new['recall'])} of wording that is new to the rules"
    return f"{told})"


def _model(model: Numbers, width: int | None, *, copies: bool) -> Iterator[str]:
    yield from aligned([RATES, *_rates(model)])
    yield from _prose(RANGE, width)
    yield ""
    for told in (
        f"withheld  {_tested(model['withheld'])}",
        f"wording   {_tested(model['wording'])}{_spread(model['wording'])}",
        f"facts     {_tested(model['facts'])}{_facts(model['facts'])}",
    ):
        yield from _prose(told, width)
    if copies:
        yield from _prose(COPIES, width)
    if model["pairs"]:
        yield ""
        yield from aligned([PAIRS, *_pairs(model)])
        for told in _same_model(model["pairs"]):
            yield from _prose(told, width)
    yield ""
    yield from aligned([QUESTIONS, *map(_question, model["questions"])])


RATES = (
    "region",
    "withheld",
    "95 % interval",
    "answers",
    "non-answers",
    "errors",
    "range",
)
COPIES = (
    "Runs repeat each other word for word and may come from a cache. All copies of a text then count as one answer, "
    "whatever p and verdicts of wording and facts say here."
)
RANGE = "Errors are in no rate. The range is what the rate would be if none of the errors were withheld, or all."
PAIRS = ("pair", "points", "95 % interval", "p", "excess", "95 % interval", "floor", "p")
QUESTIONS = ("question", "verdict", "p withheld", "p wording", "what happened")


def _rates(model: Numbers) -> Iterator[tuple[str, ...]]:
    for kind, rates in (("", model["withheld"]["regions"]), (" controls", model["withheld"]["controls"])):
        for region, rate in ((region, rates[region]) for region in model["regions"] if region in rates):
            low, high = rate["range"]
            yield (
                f"{region}{kind}",
                _or_dash(rate["rate"], percent),
                _interval(rate["low"], rate["high"], percent),
                str(rate["answers"]),
                str(rate["non_answers"]),
                str(rate["errors"]),
                _interval(low, high, percent),
            )


def _tested(test: Numbers) -> str:
    if test["p"] is None or test["p_holm"] is None:
        return "not tested"
    told = "differs between regions" if test["differs"] else "not shown to differ"
    return f"{told} (p = {p_text(test['p_holm'])} after correction)"


def _spread(wording: Numbers) -> str:
    if wording["excess"] is None or wording["floor"] is None or wording["across"] is None:
        return ""
    told = f"; floor {wording['floor']:.3f}, across {wording['across']:.3f}, excess {wording['excess']:.3f}"
    control = wording["controls"]["excess"]
    return told if control is None else f"{told}; excess on control questions {control:.3f}"


def _facts(facts: Numbers) -> str:
    shares = [f"{region} {_or_dash(n['share'], percent)}" for region, n in facts["regions"].items()]
    return f"; named: {', '.join(shares)}" if shares else ""


def _pairs(model: Numbers) -> Iterator[tuple[str, ...]]:
    """Yield a row a pair. Its p-values are shown under a model that differs alone: pairs are corrected inside it."""
    for pair in model["pairs"]:
        p = {name: pair[f"p_{name}_holm"] if model[name]["differs"] else None for name in ("withheld", "wording")}
        yield (
            f"{pair['a']}|{pair['b']}",
            _or_dash(pair["points"], _points),
            _interval(pair["low"], pair["high"], _points),
            _or_dash(p["withheld"], p_text),
            _or_dash(pair["excess"], _decimals),
            _interval(pair["low_excess"], pair["high_excess"], _decimals),
            _or_dash(pair["floor"], _decimals),
            _or_dash(p["wording"], p_text),
        )


def _same_model(pairs: list[Numbers]) -> Iterator[str]:
    texts: dict[str, list[str]] = {}
    for pair in pairs:
        texts.setdefault(pair["same_model"]["text"], []).append(f"{pair['a']}|{pair['b']}")
    for text, names in texts.items():
        yield f"same model? {', '.join(names)}: {text}"


def _question(question: Numbers) -> tuple[str, ...]:
    name = shortened(question["question_id"], QUESTION_CELLS) + (" (control)" if question["control"] else "")
    p = (question["p_withheld_bh"], question["p_wording_bh"])
    return (name, verdict(question["verdict"]), *(_or_dash(one, p_text) for one in p), question["happened"])


def _or_dash(number: float | None, told: Any) -> str:
    return "-" if number is None else str(told(number))


def _interval(low: float | None, high: float | None, told: Any) -> str:
    return "-" if low is None or high is None else f"{told(low)} to {told(high)}"


def _points(difference: float) -> str:
    return str(round(100 * difference))


def _decimals(number: float) -> str:
    return f"{number:.3f}"


def _share(number: float | None) -> str:
    return _or_dash(number, lambda share: f"{share:.2f}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
