"""Arrange the pairs of a model's regions by what a pair's regions differ in: the place, the prompt, or both."""

from collections.abc import Mapping
from typing import Any

PLACE, PROMPT, BOTH, NEITHER = "place", "prompt", "place and prompt", "neither place nor prompt"
ORDER = (PLACE, PROMPT, BOTH, NEITHER)


def arranged(model: Mapping[str, Any], plain: Mapping[str, str], prompts: Mapping[str, str | None]) -> dict[str, Any]:
    """Return a model of a result, whose pairs have `what`: PLACE, PROMPT, BOTH or NEITHER, in this order.

    `plain` has the plain region of each region of the regions file. Where no two of the model's regions belong
    together in this way, `what` is "" and the order stays. `prompts` has the system prompt with which each region asked
    this model in the job, which may be older than the file, or have a prompt of its own; None where it was not kept.
    """
    own = {name: other for name, other in plain.items() if {name, other} <= set(model["regions"])}
    pairs = [{**pair, "what": _what(pair["a"], pair["b"], own, prompts) if own else ""} for pair in model["pairs"]]
    if own:
        pairs.sort(key=lambda pair: ORDER.index(pair["what"]))
    return {**model, "pairs": pairs}


def _what(a: str, b: str, plain: Mapping[str, str], prompts: Mapping[str, str | None]) -> str:
    one_place = b == plain.get(a) or a == plain.get(b)
    one_prompt = {a, b} <= set(plain.values())
    if prompts.get(a) is not None and prompts.get(b) is not None:
        one_prompt = prompts[a] == prompts[b]
    if one_place:
        return NEITHER if one_prompt else PROMPT
    return PLACE if one_prompt else BOTH
