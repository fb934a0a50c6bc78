"""Gather what the templates of a comparison draw of a result: the page and the report alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner_api.views import Row, forest, pairs

ENDPOINTS = ("withheld", "wording", "facts")


def drawn(result: Row | None, models: Sequence[str], units: Sequence[Row], plain: Mapping[str, str]) -> dict[str, Any]:
    """Return the template's values for the numbers of each model, in the order of display; nothing without a result.

    `units` are the job's units with their parameters; `plain` has the plain region of each region of the regions file.
    """
    if result is None:
        return {"result": None}
    return {
        "result": result,
        "tests": sum(model[endpoint]["p"] is not None for model in result["models"] for endpoint in ENDPOINTS),
        "found": [(one, forest.withheld(one), forest.excess(one)) for one in _ordered(result, models, units, plain)],
        "endpoints": ENDPOINTS,
    }


def _ordered(
    result: Row, models: Sequence[str], units: Sequence[Row], plain: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the models of a result in the order of display, with their pairs arranged by place and prompt."""
    prompts: dict[str, dict[str, str | None]] = {model: {} for model in models}
    for unit in units:
        prompts[unit["model_id"]][unit["region"]] = (unit["parameters"] or {}).get("system_prompt")
    found = sorted(result["models"], key=lambda one: models.index(one["model_id"]))
    return [pairs.arranged(one, plain, prompts[one["model_id"]]) for one in found]
