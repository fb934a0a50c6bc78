"""What an analysis says of a region, and of a job in older portals' words."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from runner_api.views.scoring import older_words, scoring
from runner_core.comparison.compare import METHOD_ID, analyse
from runner_core.comparison.material import Material

EXAMPLE = Path(__file__).parents[2] / "docs/comparison-example.json"
RATE = 0.4444444444444444  # of US; that of EU is 0


@pytest.fixture
def result() -> dict[str, Any]:
    return analyse(Material.of_export(json.loads(EXAMPLE.read_text())))


def second(result: dict[str, Any]) -> dict[str, Any]:
    """The same model again under another name, with no answer in US and a pair that differs."""
    model = copy.deepcopy(result["models"][0]) | {"model_id": "n"}
    model["withheld"]["regions"]["US"] |= {"rate": None, "low": None, "high": None, "answers": 0, "errors": 9}
    model["pairs"][0]["withheld_differs"] = True
    return result | {"models": [*result["models"], model]}


def test_a_regions_scoring_is_that_of_the_only_model(result: dict[str, Any]) -> None:
    found = scoring(result, "US")
    assert found
    assert (found["method"], found["withheld_rate"], found["answers"], found["errors"]) == (METHOD_ID, RATE, 9, 0)
    assert (found["low"], found["high"]) == pytest.approx((0.1933606713767484, 0.7275112885769615), abs=1e-9)
    assert found["differs_from"] == []
    assert [model["model_id"] for model in found["models"]] == ["m"]


def test_several_models_have_a_mean_without_an_interval(result: dict[str, Any]) -> None:
    found = scoring(second(result), "US")
    assert found
    assert (found["withheld_rate"], found["low"], found["high"]) == (RATE, None, None)
    assert (found["answers"], found["errors"], found["differs_from"]) == (9, 9, ["EU"])


def test_a_region_that_the_analysis_does_not_know_has_none(result: dict[str, Any]) -> None:
    assert scoring(result, "MARS") is None


def test_a_region_without_an_answer_has_no_rate(result: dict[str, Any]) -> None:
    only = second(result)
    only["models"] = only["models"][1:]
    found = scoring(only, "US")
    assert found
    assert (found["withheld_rate"], found["answers"], found["errors"]) == (None, 0, 9)


def test_older_words_are_means_of_the_results_numbers(result: dict[str, Any]) -> None:
    found = older_words(result)
    assert found["censorship_rate"] == pytest.approx(RATE / 2)
    assert found["bias_variance"] == pytest.approx((RATE / 2) ** 2)
    assert found["narrative_divergence"] == result["models"][0]["wording"]["excess"]
    assert found["factual_consistency"] == pytest.approx((0.5 + 0.9166666666666667) / 2)
    assert found["summary"] == result["headline"]["text"]


def test_without_facts_there_is_no_factual_consistency() -> None:
    document = json.loads(EXAMPLE.read_text()) | {"facts": {}}
    assert older_words(analyse(Material.of_export(document)))["factual_consistency"] is None
