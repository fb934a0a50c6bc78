"""What an analysis says of single regions, and of a job in the words of older portals. No I/O.

`result` is everywhere the result of `runner_core.comparison.compare.analyse`. Nothing here is computed that the result
does not have, but means over models and regions.
"""

from collections.abc import Iterable, Mapping
from math import fsum
from typing import Any

Result = Mapping[str, Any]


def scoring(result: Result, region: str) -> dict[str, Any] | None:
    """Return the `scoring` of a region; None if the analysis does not know the region.

    `models` has the numbers of each model. Beside it stand those of the only model; of several models the mean rate
    without an interval, the sums of answers and errors, and the regions from which any of the models differs.
    """
    models = [_of_model(model, region) for model in result["models"] if region in model["withheld"]["regions"]]
    if not models:
        return None
    if len(models) == 1:
        whole = {name: value for name, value in models[0].items() if name != "model_id"}
    else:
        whole = {
            "withheld_rate": _mean(model["withheld_rate"] for model in models),
            "low": None,
            "high": None,
            "answers": sum(model["answers"] for model in models),
            "errors": sum(model["errors"] for model in models),
            "differs_from": sorted({other for model in models for other in model["differs_from"]}),
        }
    return {"method": result["method"], **whole, "models": models}


def older_words(result: Result) -> dict[str, Any]:
    """Return the `analysis` of a job by the names that older portals read, each computed from the result.

    `censorship_rate`: the mean withheld rate. `bias_variance`: the variance of the regions' rates.
    `narrative_divergence`: the mean excess of the wording. `factual_consistency`: the mean share of the listed facts
    that were named. None where the result has no such number.
    """
    rates = [
        {region: rate["rate"] for region, rate in model["withheld"]["regions"].items() if rate["rate"] is not None}
        for model in result["models"]
    ]
    regions = sorted({region for model in rates for region in model})
    by_region = [_mean(model.get(region) for model in rates) for region in regions]
    mean = _mean(by_region)
    facts = (facts["share"] for model in result["models"] for facts in model["facts"]["regions"].values())
    return {
        "censorship_rate": mean,
        "bias_variance": None if mean is None else _mean((rate - mean) ** 2 for rate in by_region if rate is not None),
        "narrative_divergence": _mean(model["wording"]["excess"] for model in result["models"]),
        "factual_consistency": _mean(facts),
        "summary": result["headline"]["text"],
    }


def _of_model(model: Result, region: str) -> dict[str, Any]:
    rate = model["withheld"]["regions"][region]
    pairs = [pair for pair in model["pairs"] if region in (pair["a"], pair["b"]) and pair["withheld_differs"]]
    return {
        "model_id": model["model_id"],
        "withheld_rate": rate["rate"],
        "low": rate["low"],
        "high": rate["high"],
        "answers": rate["answers"],
        "errors": rate["errors"],
        "differs_from": [pair["b"] if pair["a"] == region else pair["a"] for pair in pairs],
    }


def _mean(numbers: Iterable[float | None]) -> float | None:
    found = [number for number in numbers if number is not None]
    return fsum(found) / len(found) if found else None
