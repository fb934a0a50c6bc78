"""An analysis as a table: one line for each number, so that a spreadsheet can filter and sort them. No I/O.

`result` is everywhere the result of `runner_core.comparison.compare.analyse`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

COLUMNS = (
    *("level", "model", "question", "pair", "region", "endpoint", "estimate", "low", "high"),
    *("n", "p", "p_adjusted", "family", "verdict"),
)
MODELS, QUESTIONS, PAIRS = "Holm, models", "Benjamini-Hochberg, questions", "Holm, pairs of the model"
Result = Mapping[str, Any]
Line = dict[str, Any]


def lines(result: Result) -> Iterator[list[Any]]:
    """Yield the lines of a result, each with a value for each of COLUMNS; None where a column says nothing.

    `level`: `model`, `region`, `control` (a region's control questions), `pair`, `question`, `question_region` or
    `question_pair`. `endpoint`: `withheld`, `wording`, `facts`, or what the number is: `floor`, `across`, `excess`,
    `error`. `n`: the number of answers.
    """
    for model in result["models"]:
        for line in _of_model(model):
            yield [(line | {"model": model["model_id"]}).get(column) for column in COLUMNS]


def _of_model(model: Result) -> Iterator[Line]:
    for endpoint in ("withheld", "wording", "facts"):
        tested = model[endpoint]
        yield _tested("model", endpoint, tested["p"], tested["p_holm"], MODELS, differs=tested["differs"])
    for name in ("floor", "across", "excess"):
        yield {"level": "model", "endpoint": name, "estimate": model["wording"][name]}
    yield {"level": "control", "endpoint": "excess", "estimate": model["wording"]["controls"]["excess"]}
    for level, regions in (("region", model["withheld"]["regions"]), ("control", model["withheld"]["controls"])):
        for region, rate in regions.items():
            yield {
                "level": level,
                "region": region,
                "endpoint": "withheld",
                "n": rate["answers"],
                **_estimate(rate, "rate"),
            }
            yield {"level": level, "region": region, "endpoint": "error", "estimate": rate["errors"]}
    for region, facts in model["facts"]["regions"].items():
        yield {
            "level": "region",
            "region": region,
            "endpoint": "facts",
            "n": facts["answers"],
            "estimate": facts["share"],
        }
    for pair in model["pairs"]:
        yield from _of_pair(pair)
    for question in model["questions"]:
        for line in _of_question(question):
            yield line | {"question": question["question_id"]}


def _of_pair(pair: Result) -> Iterator[Line]:
    place = {"pair": f"{pair['a']}|{pair['b']}"}
    for endpoint, estimate in (
        ("withheld", _estimate(pair, "points")),
        ("wording", {"estimate": pair["excess"], "low": pair["low_excess"], "high": pair["high_excess"]}),
    ):
        adjusted, differs = pair[f"p_{endpoint}_holm"], pair[f"{endpoint}_differs"]
        yield _tested("pair", endpoint, pair[f"p_{endpoint}"], adjusted, PAIRS, differs=differs) | place | estimate
    for name in ("floor", "across"):
        yield {"level": "pair", **place, "endpoint": name, "estimate": pair[name]}


def _of_question(question: Result) -> Iterator[Line]:
    for endpoint, estimate in (("withheld", question["points"]), ("wording", question["excess"]), ("facts", None)):
        adjusted = question.get(f"p_{endpoint}_bh")
        family = None if endpoint == "facts" else QUESTIONS
        yield _tested("question", endpoint, question[f"p_{endpoint}"], adjusted, family) | {
            "estimate": estimate,
            "verdict": question["verdict"],
        }
    for region, found in question["regions"].items():
        place = {"level": "question_region", "region": region}
        rate = found["withheld"] / found["n"] if found["n"] else None
        yield place | {"endpoint": "withheld", "estimate": rate, "n": found["n"]}
        yield place | {"endpoint": "error", "estimate": found["errors"]}
        yield place | {"endpoint": "floor", "estimate": found["floor"]}
        if found["facts"] is not None:
            yield place | {"endpoint": "facts", "estimate": found["facts"]}
    for pair, across in question["across"].items():
        yield {"level": "question_pair", "pair": pair, "endpoint": "across", "estimate": across}


def _estimate(numbers: Result, name: str) -> Line:
    return {"estimate": numbers[name], "low": numbers["low"], "high": numbers["high"]}


def _tested(
    level: str,
    endpoint: str,
    p: float | None,
    adjusted: float | None,
    family: str | None,
    *,
    differs: bool | None = None,
) -> Line:
    line: Line = {"level": level, "endpoint": endpoint, "p": p, "p_adjusted": adjusted}
    if p is not None:
        line["family"] = family
    if differs is not None:
        line["verdict"] = "differs" if differs else "not_shown_to_differ"
    return line
