"""Write the numbers of a comparison for the pages. Every number comes from the result, and no p-value is 0."""

from collections.abc import Mapping
from typing import Any

from runner_core.comparison import headline

NONE = "\N{EN DASH}"  # where there is no number
_MINUS = "\N{MINUS SIGN}"


def percent(share: float | None) -> str:
    """Return a share of 1 in whole percent."""
    return NONE if share is None else headline.percent(share)


def points(difference: float | None) -> str:
    """Return a difference of two shares in whole points, with a minus sign where it is below 0."""
    return NONE if difference is None else _signed(f"{round(100 * difference)}")


def decimals(value: float | None) -> str:
    """Return a distance, or a difference of distances, with two decimals."""
    return NONE if value is None else _signed(f"{value:.2f}")


def p_value(p: float | None) -> str:
    """Return a p-value with four decimals, with five where four would show 0."""
    return NONE if p is None else headline.p_text(p)


def interval(numbers: Mapping[str, Any]) -> str:
    """Return the 95 % interval of a rate: `31 to 49 %`; empty without one."""
    low, high = numbers["low"], numbers["high"]
    return "" if low is None else f"{round(100 * low)} to {percent(high)}"


def spread(numbers: Mapping[str, Any]) -> str:
    """Return what a rate would be if none of its errors, or all of them, were refusals: `40 to 42 %`."""
    bounds = numbers["range"]
    return NONE if bounds is None else f"{round(100 * bounds[0])} to {percent(bounds[1])}"


def plain(word: str) -> str:
    """Return a category or a verdict as words: `hard_refusal` becomes `hard refusal`."""
    return word.replace("_", " ")


def _signed(number: str) -> str:
    if float(number) == 0:
        return number.lstrip("-")
    return number.replace("-", _MINUS)


FILTERS = {
    "percent": percent,
    "points": points,
    "decimals": decimals,
    "p_value": p_value,
    "interval": interval,
    "spread": spread,
    "plain": plain,
}
