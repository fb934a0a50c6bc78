"""Compute the geometry of forest plots: a line for each pair of regions, with its difference and its 95 % interval.

Each line is a small SVG of its own in a cell of a table, so that the numbers beside it are text: they can be read
aloud, copied, and read on a phone. The template only draws.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner_api.views.figures import decimals, p_value, percent, points

WIDTH, HEIGHT = 300.0, 28.0
ZERO = WIDTH / 2
_BOUNDS = (0.1, 0.2, 0.5, 1.0)  # of the axis of excess: the first that holds every number

Pair = Mapping[str, Any]
Model = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One pair. `at`, `low`, `high` are places on the axis, None where there is no number.

    `hollow` is the place of the control questions, without an interval: no test compares them with the rest. `what`: in
    what the pair's regions differ, as `pairs.arranged` says, "" where it says nothing.
    """

    name: str
    at: float | None
    low: float | None
    high: float | None
    hollow: float | None
    told: str
    controls: str
    p: str
    differs: bool
    what: str = ""


@dataclass(frozen=True)
class Plot:
    """The lines of one endpoint of one model. `ticks` are the values at the left edge, in the middle and at the right.

    `tested` says whether the model differs: then the pairs have p-values of their own.
    """

    ticks: tuple[str, str, str]
    lines: list[Line]
    tested: bool


def withheld(model: Model) -> Plot:
    """Return the plot of the differences in withheld answers, from -100 to 100 points."""
    rates, differs = model["withheld"]["controls"], model["withheld"]["differs"]
    place = _axis(1.0)

    def line(pair: Pair) -> Line:
        one, other = (rates.get(region, {}).get("rate") for region in (pair["a"], pair["b"]))
        told = f"{points(pair['points'])} points ({points(pair['low'])} to {points(pair['high'])})"
        known = one is not None and other is not None
        return Line(
            _name(pair),
            place(pair["points"]),
            place(pair["low"]),
            place(pair["high"]),
            place(other - one) if known else None,
            told,
            f"{pair['b']} {percent(other)}, {pair['a']} {percent(one)}" if known else "",
            p_value(pair["p_withheld_holm"]) if differs else "",
            pair["withheld_differs"],
            pair.get("what", ""),
        )

    return Plot(
        (points(-1.0), "0", points(1.0)),
        [line(pair) for pair in model["pairs"] if pair["points"] is not None],
        differs,
    )


def excess(model: Model) -> Plot:
    """Return the plot of the excesses in wording. The control questions have a line of their own."""
    pairs, differs = [pair for pair in model["pairs"] if pair["excess"] is not None], model["wording"]["differs"]
    controls = model["wording"]["controls"]
    numbers = [pair[name] for pair in pairs for name in ("excess", "low_excess", "high_excess")]
    bound = _bound([*numbers, controls["excess"]])
    place = _axis(bound)
    lines = [
        Line(
            _name(pair),
            place(pair["excess"]),
            place(pair["low_excess"]),
            place(pair["high_excess"]),
            None,
            _excess_told(pair),
            "",
            p_value(pair["p_wording_holm"]) if differs else "",
            pair["wording_differs"],
            pair.get("what", ""),
        )
        for pair in pairs
    ]
    if lines and controls["excess"] is not None:
        told = decimals(controls["excess"])
        lines.append(Line("Controls, all pairs", None, None, None, place(controls["excess"]), told, "", "", False))
    return Plot((decimals(-bound), "0", decimals(bound)), lines, differs)


def _excess_told(pair: Pair) -> str:
    text = decimals(pair["excess"])
    if pair["low_excess"] is not None:
        text += f" ({decimals(pair['low_excess'])} to {decimals(pair['high_excess'])})"
    return f"{text}, floor {decimals(pair['floor'])}"


def _name(pair: Pair) -> str:
    return f"{pair['b']} \N{MINUS SIGN} {pair['a']}"


def _bound(numbers: Sequence[float | None]) -> float:
    widest = max((abs(number) for number in numbers if number is not None), default=0.0)
    return next((bound for bound in _BOUNDS if widest <= bound), _BOUNDS[-1])


def _axis(bound: float) -> Callable[[float | None], float | None]:
    """Return the function that gives a value's place on an axis from -bound to bound; beyond it, the edge."""

    def place(value: float | None) -> float | None:
        return None if value is None else round((max(-bound, min(bound, value)) / bound + 1) * ZERO, 2)

    return place
