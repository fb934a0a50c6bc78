"""Say which regions are apart, from the pairs of a result. Only what the result has tested or measured."""

from collections.abc import Iterable, Mapping
from math import fsum
from typing import Any

Pair = Mapping[str, Any]
MIN_REGIONS = 3  # of two regions none is further from the other


def furthest(across: Mapping[str, float]) -> str:
    """Return the region whose mean distance to the others is largest; "" of two regions, and where two are largest.

    `across` has the mean distance of each two regions, by `A|B`.
    """
    distances: dict[str, list[float]] = {}
    for pair, distance in across.items():
        for region in pair.split("|"):
            distances.setdefault(region, []).append(distance)
    if len(distances) < MIN_REGIONS:
        return ""
    means = sorted(((fsum(found) / len(found), region) for region, found in distances.items()), reverse=True)
    return means[0][1] if means[0][0] > means[1][0] else ""


def model_apart(pairs: Iterable[Pair]) -> list[str]:
    """Return a sentence for each endpoint in which pairs of regions of one model were found to differ."""
    told = []
    for endpoint, words in (("withheld_differs", "withheld"), ("wording_differs", "wording")):
        found = [(str(pair["a"]), str(pair["b"])) for pair in pairs if pair[endpoint]]
        told += [f"{words}: {region} differs from {_listed(others)}" for region, others in _grouped(found)]
    return told


def _grouped(pairs: list[tuple[str, str]]) -> Iterable[tuple[str, list[str]]]:
    """Yield each region with those that it differs from, the region of most pairs first, and each pair once."""
    while pairs:
        regions = sorted({region for pair in pairs for region in pair})
        most = max(regions, key=lambda region: sum(region in pair for pair in pairs))
        yield most, sorted(b if a == most else a for a, b in pairs if most in (a, b))
        pairs = [pair for pair in pairs if most not in pair]


def _listed(names: list[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
