"""What a result says where answers are missing: it accuses no region of what nobody knows."""

from typing import Any

from runner_core.comparison.compare import analyse
from runner_core.comparison.material import Material
from tests.comparison_jobs import Answered, conditions, drawn_text, export

FAILED: Answered = (None, "")
TEN = tuple(f"q{number:02}" for number in range(10))
THREE = ("ASIA", "EU", "US")
NOTHING_ASKED = {"system_prompt": None, "upstream": None, "parameters": {}, "seeds": "none", "served_models": []}


def result_of(answer: Any, **job: Any) -> dict[str, Any]:
    return analyse(Material.of_export(export(answer, **job)))


def codes(result: dict[str, Any]) -> list[str]:
    return [caution["code"] for caution in result["cautions"]]


def drawn(model: str, question: str, region: str, run: int) -> Answered:
    return "answer", drawn_text(model, question, region, run)


def test_a_region_that_asked_nothing_has_no_other_prompt() -> None:
    places = [conditions("m", "ASIA", **NOTHING_ASKED), conditions("m", "EU"), conditions("m", "US")]
    result = result_of(
        lambda m, q, region, run: FAILED if region == "ASIA" else drawn(m, q, region, run),
        **{"runs": 5, "questions": TEN, "regions": THREE, "conditions": places},
    )
    assert codes(result) == ["errors_differ"]
    assert result["design"]["equal_conditions"]
    states = {(pair["a"], pair["b"]): pair["same_model"]["state"] for pair in result["models"][0]["pairs"]}
    assert states == {("ASIA", "EU"): "not_tested", ("ASIA", "US"): "not_tested", ("EU", "US"): "no_sign"}


def test_calls_that_were_asked_again_with_another_temperature() -> None:
    warm, mixed = ({"temperature": value, "max_tokens": 200} for value in (0.7, [None, 0, 0.7]))
    places = [conditions("m", "EU", parameters=mixed), conditions("m", "US", parameters=warm)]
    result = result_of(drawn, runs=5, conditions=places)
    assert result["design"]["temperature"] == {"m": [None, 0, 0.7]}
    assert codes(result) == ["parameters_differ"]
    equal = result_of(drawn, runs=5, conditions=[conditions("m", region, parameters=mixed) for region in ("EU", "US")])
    assert "below 0.1" in equal["models"][0]["pairs"][0]["same_model"]["text"]
