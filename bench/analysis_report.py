"""Formats what was measured of the analyst."""

from collections.abc import Iterator
from typing import Any

from bench.measure import Spread, ratios

CPU_BARS = {"demo": 0.3, "large": 30.0}  # seconds
RATIO_BAR = 1.2


def lines(results: dict[str, Any]) -> Iterator[str]:
    """Yield the paragraphs and tables of the page's part."""
    yield (
        "CPU of the analyst's process for one job: read from the database, computed, stored. A demo job may take "
        f"{CPU_BARS['demo']:g} s, a job of 2,000 calls {CPU_BARS['large']:g} s, by the rules of refusal alone. The "
        "first job that a process compares with sentence embeddings also pays for reading their weights."
    )
    yield ""
    yield "| job | calls | CPU s | MB (PSS), at most |"
    yield "| --- | ---: | ---: | ---: |"
    for cost in results["cost"]:
        yield f"| {cost['shape']} | {cost['calls']:,} | {cost['cpu_seconds']:.2f} | {cost['mb']:.0f} |"
    rounds = results["post"]
    busy = Spread.of(found["busy"]["analyst"] for found in rounds)
    yield ""
    yield (
        "POST /jobs over 50 connections, alone, again alone, and beside an analyst that always has a job to compare "
        f"(it got {busy.median:.2f} of a core): {len(rounds)} interleaved rounds, ratios of medians, the least and the "
        f"most of any two rounds in brackets. p50 beside the analyst may be {RATIO_BAR:g} times p50 without."
    )
    yield ""
    yield "| | alone | again / alone | beside the analyst / alone |"
    yield "| --- | ---: | ---: | ---: |"
    for name, what in (("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), ("per_second", "jobs a second")):
        alone, again, beside = ([found[kind][name] for found in rounds] for kind in ("alone", "again", "busy"))
        shown = (_x(ratios(again, alone)), _x(ratios(beside, alone)))
        yield f"| {what} | {Spread.of(alone).median:,.1f} | {' | '.join(shown)} |"


def beside_ratio(results: dict[str, Any]) -> Spread:
    """Return the ratio of POST /jobs' p50 beside a busy analyst to that without one."""
    rounds = results["post"]
    return ratios([found["busy"]["p50_ms"] for found in rounds], [found["alone"]["p50_ms"] for found in rounds])


def largest_cost(results: dict[str, Any]) -> float:
    """Return the most CPU seconds that a job took by the rules alone."""
    return max(float(cost["cpu_seconds"]) for cost in results["cost"] if "embeddings" not in cost["shape"])


def _x(spread: Spread) -> str:
    return f"{spread.median:.2f}x ({spread.least:.2f} to {spread.most:.2f})"
