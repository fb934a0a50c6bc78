"""Arrange the pairs of a model's regions by what a pair's regions differ in: the place, the prompt, or both."""

from collections.abc import Mapping
from typing import Any

PLACE, PROMPT, BOTH = "place", "prompt", "place and prompt"
ORDER = (PLACE, PROMPT, BOTH)


def arranged(model: Mapping[str, Any], plain: Mapping[str, str]) -> dict[str, Any]:
    """Return a model of a result, whose pairs have `what`: PLACE, PROMPT or BOTH, in this order.

    `plain` has the plain region of each region of the regions file. Where no two of the model's regions belong
    together in this way, `what` is "" and the order stays.
    """
    own = {name: other for name, other in plain.items() if {name, other} <= set(model["regions"])}
    pairs = [{**pair, "what": _what(pair["a"], pair["b"], own) if own else ""} for pair in model["pairs"]]
    if own:
        pairs.sort(key=lambda pair: ORDER.index(pair["what"]))
    return {**model, "pairs": pairs}


def _what(a: str, b: str, plain: Mapping[str, str]) -> str:
    if {a, b} <= set(plain.values()):
        return PLACE
    return PROMPT if b == plain.get(a) or a == plain.get(b) else BOTH
