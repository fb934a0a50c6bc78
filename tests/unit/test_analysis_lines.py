"""The analysis as a table: every number of the result has one line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner_api.views.analysis_lines import COLUMNS, lines
from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material

EXAMPLE = Path(__file__).parents[2] / "docs/comparison-example.json"
# Numbers that describe a test or a cell and that the table does not repeat: the analysis' JSON has them.
LEFT_OUT = {"min_p", "min_p_withheld", "min_p_wording", "range", "words_median", "categories", "languages"}
LEFT_OUT |= {"non_answers", "worded", "withheld", "answers", "n", "errors"}


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return analyse(Material.of_export(json.loads(EXAMPLE.read_text())))


@pytest.fixture(scope="module")
def table(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, line, strict=True)) for line in lines(result)]


def find(table: list[dict[str, Any]], **where: Any) -> dict[str, Any]:
    (found,) = [line for line in table if all(line[name] == value for name, value in where.items())]
    return found


def test_a_region_has_its_rate_with_its_interval(table: list[dict[str, Any]]) -> None:
    found = find(table, level="region", region="US", endpoint="withheld")
    assert (found["estimate"], found["n"]) == (0.4444444444444444, 9)
    assert (found["low"], found["high"]) == pytest.approx((0.1933606713767484, 0.7275112885769615), abs=1e-9)
    assert find(table, level="region", region="EU", endpoint="error")["estimate"] == 1
    assert find(table, level="control", region="US", endpoint="withheld")["estimate"] == 0


def test_a_model_and_a_pair_have_their_tests(table: list[dict[str, Any]]) -> None:
    model = find(table, level="model", endpoint="wording")
    assert (model["p"], model["p_adjusted"], model["family"]) == (0.0746, 0.2238, "Holm, models")
    assert model["verdict"] == "not_shown_to_differ"
    assert find(table, level="model", endpoint="facts")["p"] == 0.201
    pair = find(table, level="pair", endpoint="wording")
    assert (pair["pair"], pair["p"], pair["family"]) == ("EU|US", 0.0747, "Holm, pairs of the model")
    assert (pair["estimate"], pair["low"]) == pytest.approx((0.2685184722222222, -0.12816793987444364), abs=1e-9)


def test_a_question_has_its_verdict_and_its_corrected_p(table: list[dict[str, Any]]) -> None:
    found = find(table, level="question", question="q2", endpoint="wording")
    assert (found["p"], found["p_adjusted"], found["verdict"]) == (0.3, 0.6, "cannot_tell")
    assert find(table, level="question", question="q1", endpoint="facts")["family"] is None
    assert find(table, level="question_pair", question="q1", endpoint="across")["estimate"] == 0.7814814444444445
    assert find(table, level="question_region", question="q3", region="EU", endpoint="error")["estimate"] == 1


def numbers(value: Any, name: str = "") -> Iterator[float]:
    """Yield the numbers of a result that are an estimate, a bound or a p-value."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in LEFT_OUT or (isinstance(item, dict) and key == "withheld"):
                yield from numbers(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item, name)
    elif isinstance(value, float):
        yield value


def test_no_number_of_a_model_is_missing(result: dict[str, Any], table: list[dict[str, Any]]) -> None:
    told = {line[column] for line in table for column in ("estimate", "low", "high", "p", "p_adjusted")}
    assert [number for number in numbers(result["models"]) if number not in told] == []


def test_no_p_value_is_zero(table: list[dict[str, Any]]) -> None:
    assert all(line[column] is None or line[column] > 0 for line in table for column in ("p", "p_adjusted"))
