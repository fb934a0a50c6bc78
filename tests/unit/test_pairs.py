"""The pairs of a model by what their regions differ in, for the page of a comparison."""

from itertools import combinations
from typing import Any

from runner_api.views.pairs import BOTH, NEITHER, PLACE, PROMPT, arranged

PLAIN = {"US": "US-PLAIN", "ASIA": "ASIA-PLAIN"}


def model(*regions: str) -> dict[str, Any]:
    return {"regions": list(regions), "pairs": [{"a": a, "b": b} for a, b in combinations(sorted(regions), 2)]}


def told(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(pair["a"], pair["b"], pair["what"]) for pair in found["pairs"]]


def test_place_comes_first_then_prompt() -> None:
    assert told(arranged(model("ASIA", "ASIA-PLAIN", "US", "US-PLAIN"), PLAIN, {})) == [
        ("ASIA-PLAIN", "US-PLAIN", PLACE),
        ("ASIA", "ASIA-PLAIN", PROMPT),
        ("US", "US-PLAIN", PROMPT),
        ("ASIA", "US", BOTH),
        ("ASIA", "US-PLAIN", BOTH),
        ("ASIA-PLAIN", "US", BOTH),
    ]


def test_without_plain_regions_nothing_is_said() -> None:
    for plain in ({}, PLAIN):
        found = told(arranged(model("ASIA", "EU", "US"), plain, {}))
        assert found == [("ASIA", "EU", ""), ("ASIA", "US", ""), ("EU", "US", "")]


def test_what_differs_is_told_by_the_prompts_of_the_job() -> None:
    """The regions file may have changed since, and a job's parameter gives all regions one prompt."""
    regions = ("ASIA", "ASIA-PLAIN", "US", "US-PLAIN")
    equal = told(arranged(model(*regions), PLAIN, dict.fromkeys(regions, "Be brief.")))
    assert equal == [
        ("ASIA", "US", PLACE),
        ("ASIA", "US-PLAIN", PLACE),
        ("ASIA-PLAIN", "US", PLACE),
        ("ASIA-PLAIN", "US-PLAIN", PLACE),
        ("ASIA", "ASIA-PLAIN", NEITHER),
        ("US", "US-PLAIN", NEITHER),
    ]
    every = told(arranged(model(*regions), PLAIN, {region: f"You are in {region}." for region in regions}))
    assert ("ASIA-PLAIN", "US-PLAIN", BOTH) in every
    assert ("US", "US-PLAIN", PROMPT) in every


def test_a_prompt_that_was_not_kept_is_that_of_the_file() -> None:
    found = arranged(model("US", "US-PLAIN"), PLAIN, {"US": None, "US-PLAIN": "Be brief."})
    assert told(found) == [("US", "US-PLAIN", PROMPT)]
