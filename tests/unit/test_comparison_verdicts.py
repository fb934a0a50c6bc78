"""Verdicts, headlines and cautions: which sentence stands above which answers."""

import json
from typing import Any

import pytest

from runner_core.comparison.compare import analyse
from runner_core.comparison.headline import PERHAPS_CACHED, p_text
from runner_core.comparison.material import Material
from tests.comparison_jobs import Answered, conditions, drawn_text, export, section_9

REFUSED: Answered = ("hard_refusal", "I can't talk about that.")
TEN = tuple(f"q{number:02}" for number in range(10))
LONG = " ".join(f"word{number}" for number in range(25))


def result_of(answer: Any, **job: Any) -> dict[str, Any]:
    return analyse(Material.of_export(export(answer, **job)))


def verdicts(result: dict[str, Any]) -> set[str]:
    return {question["verdict"] for model in result["models"] for question in model["questions"]}


def codes(result: dict[str, Any]) -> list[str]:
    return [caution["code"] for caution in result["cautions"]]


def drawn(model: str, question: str, region: str, run: int) -> Answered:
    return "answer", drawn_text(model, question, region, run)


def test_equal_answers_are_identical() -> None:
    result = result_of(lambda *_: ("answer", LONG), runs=5)
    (model,) = result["models"]
    assert verdicts(result) == {"identical"}
    assert model["wording"]["p"] == model["withheld"]["p"] == 1
    assert model["wording"]["excess"] == 0
    assert result["headline"]["kind"] == "none"
    assert codes(result) == ["runs_repeat"]


def test_regions_that_repeat_themselves_and_differ() -> None:
    result = result_of(lambda m, q, region, run: ("answer", f"{LONG} {region}"), runs=2, questions=("q1", "q2"))
    assert verdicts(result) == {"cannot_tell"}
    assert result["headline"] == {"kind": "not_enough", "text": PERHAPS_CACHED}
    assert PERHAPS_CACHED.startswith("Each region repeated itself word for word, and the regions differ.")
    assert codes(result) == ["runs_repeat"]


def test_one_run_is_not_enough() -> None:
    result = result_of(lambda m, q, region, run: ("answer", f"other {region}"), runs=1, regions=("ASIA", "EU", "US"))
    (model,) = result["models"]
    assert verdicts(result) == {"cannot_tell"}
    assert model["wording"]["p"] is model["wording"]["excess"] is None
    assert model["withheld"]["p"] == 1
    assert result["headline"] == {
        "kind": "not_enough",
        "text": "Not enough evidence: one run of each question. One answer per region can't tell a region from chance; "
        "3 runs could mark a single question, 2 runs over 2 questions could test the model as a whole.",
    }


def test_errors_that_took_the_answers_are_named() -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return drawn(model, question, region, run) if run == 1 else (None, "")

    assert result_of(answer, runs=5, regions=("ASIA", "EU", "US"))["headline"] == {
        "kind": "not_enough",
        "text": "Not enough evidence: five runs of each question, and 6 of 30 calls gave a usable answer. So few "
        "answers per region can't tell a region from chance; 3 runs of usable answers could mark a single question, "
        "2 runs of usable answers over 2 questions could test the model as a whole.",
    }


def test_one_run_of_many_questions_finds_what_is_withheld() -> None:
    result = result_of(lambda m, q, region, run: REFUSED if region == "EU" else ("answer", q), runs=1, questions=TEN)
    (model,) = result["models"]
    assert model["withheld"]["differs"]
    assert model["withheld"]["min_p"] == 2 / 2**10
    assert verdicts(result) == {"cannot_tell"}
    assert {q["happened"] for q in model["questions"]} == {"EU withheld, US answered"}
    assert "withheld its answer in EU in 100 % of 10 answers, in US in 0 % of 10" in result["headline"]["text"]


def test_one_run_without_a_difference_says_that_wording_was_not_tested() -> None:
    refused = [("EU", key) for key in TEN[::2]] + [("US", key) for key in TEN[1::2]]
    result = result_of(lambda m, q, r, run: REFUSED if (r, q) in refused else ("answer", q), runs=1, questions=TEN)
    assert result["headline"]["kind"] == "none"
    assert result["headline"]["text"] == (
        "No difference found. With 1 run of 10 questions a difference of 20 points in withholding would have been "
        "found 2 times in 100, before any correction. Wording was not tested: it needs two runs or more."
    )


def test_no_difference_tells_what_would_have_been_found() -> None:
    result = result_of(drawn, runs=5, questions=TEN)
    assert result["headline"] == {
        "kind": "none",
        "text": "No difference found. With 5 runs of 10 questions a difference of 20 points in withholding would have "
        "been found 67 times in 100, before any correction.",
    }
    three = result_of(drawn, runs=5, questions=TEN, regions=("ASIA", "EU", "US"))
    assert three["headline"]["text"] == "No difference found."
    assert verdicts(three) == {"no_difference_found"}


def test_wording_that_differs() -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return "answer", drawn_text(model, question, region, run, shift=0.6)

    result = result_of(answer, runs=5, questions=TEN, regions=("ASIA", "US"), controls=["q00"])
    (model,) = result["models"]
    (pair,) = model["pairs"]
    marked = sum(question["verdict"] == "wording_differs" for question in model["questions"])
    assert model["wording"]["differs"]
    assert 0 < pair["low_excess"] < pair["excess"] < pair["high_excess"]
    assert result["headline"]["text"].startswith("m's answers differ between regions more than inside them: excess 0.")
    assert f"{marked} of 10 questions are marked. Wording may differ without" in result["headline"]["text"]
    assert "On the control questions the excess is 0." in result["headline"]["text"]
    assert pair["same_model"]["state"] == "differ"


def test_facts_that_are_left_out() -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return "answer", "the same words" if region == "US" else "the same 1989"

    result = result_of(answer, runs=1, questions=TEN, facts={key: ["1989", "tanks"] for key in TEN})
    facts = result["models"][0]["facts"]
    assert facts["differs"]
    assert {region: numbers["share"] for region, numbers in facts["regions"].items()} == {"EU": 0.5, "US": 0.0}
    assert "m names 50 % of the listed facts in EU, 0 % in US (p = " in result["headline"]["text"]


@pytest.mark.parametrize(
    ("categories", "verdict"),
    [
        ({"EU": "hard_refusal", "US": "hard_refusal"}, "cannot_tell"),  # no words: not identical
        ({"EU": "answer", "US": None}, "not_enough"),
        ({"EU": "answer", "US": "non_answer"}, "not_enough"),
        ({"EU": "answer", "US": "content_filter"}, "withheld_differs"),
        ({"EU": "deflection", "US": "answer"}, "identical"),
    ],
)
def test_the_verdict_of_one_question(categories: dict[str, str | None], verdict: str) -> None:
    result = result_of(lambda m, q, region, run: (categories[region], "the same"), runs=5, questions=("q1",))
    assert verdicts(result) == {verdict}


def test_errors_are_never_refusals() -> None:
    result = result_of(lambda m, q, region, run: (None, "") if region == "EU" and run > 3 else ("answer", "x"), runs=5)
    (model,) = result["models"]
    numbers = model["withheld"]["regions"]["EU"]
    assert codes(result) == ["errors_differ"]
    assert (numbers["rate"], numbers["errors"], numbers["range"]) == (0, 4, [0, 0.4])
    assert not model["withheld"]["differs"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"system_prompt": "Another."}, "system_prompts_differ"),
        ({"upstream": "vendor/m-mini"}, "upstream_models_differ"),
        ({"parameters": {"temperature": 0.8}}, "parameters_differ"),
        ({"simulated": True}, "simulated"),
        ({"seeds": "shared"}, "shared_seeds"),
    ],
)
def test_cautions_of_conditions(changes: dict[str, Any], code: str) -> None:
    places = [conditions("m", "EU"), conditions("m", "US", **changes)]
    result = result_of(drawn, runs=5, questions=TEN, conditions=places)
    assert codes(result) == [code]
    (pair,) = result["models"][0]["pairs"]
    assert (pair["same_model"]["state"] == "no_sign") == (code == "simulated")
    assert result["design"]["equal_conditions"] == (code in ("simulated", "shared_seeds"))


def test_a_cold_job_does_not_ask_for_the_same_model_and_may_repeat_itself() -> None:
    places = [conditions("m", region, parameters={"temperature": 0}) for region in ("EU", "US")]
    result = result_of(lambda *_: ("answer", LONG), runs=5, conditions=places)
    assert codes(result) == []
    assert "below 0.1" in result["models"][0]["pairs"][0]["same_model"]["text"]
    assert result["design"]["temperature"] == {"m": [0]}


def test_languages_that_differ() -> None:
    document = export(drawn, runs=5)
    for row in document["executions"]:
        row["language"] = "zh" if row["region"] == "EU" and row["run_no"] == 1 else "en"
    assert codes(analyse(Material.of_export(document))) == ["languages_differ"]


def test_a_model_of_one_region_is_not_tested() -> None:
    document = export(drawn, runs=5)
    document["models"][0]["regions"] = ["EU"]
    document["executions"] = [row for row in document["executions"] if row["region"] == "EU"]
    result = analyse(Material.of_export(document))
    (model,) = result["models"]
    assert model["pairs"] == []
    assert model["withheld"]["p"] is model["wording"]["p"] is None
    assert verdicts(result) == {"not_enough"}
    assert result["headline"]["kind"] == "not_enough"


def test_the_prompt_is_named_beside_a_difference() -> None:
    result = analyse(Material.of_export(section_9()))
    assert codes(result)[0] == "system_prompts_differ"
    assert result["headline"]["text"].endswith("this is a difference of region and its prompt.")
    assert result["models"][0]["pairs"][0]["same_model"] == {
        "state": "not_asked",
        "text": "The regions were not asked under equal conditions.",
    }


def test_no_result_says_more_than_it_may() -> None:
    for result in (analyse(Material.of_export(section_9())), result_of(drawn, runs=5, questions=TEN)):
        text = json.dumps(result).lower()
        assert not [word for word in ("agree", "contradict", "bias score") if word in text]


def test_no_p_value_reads_as_0() -> None:
    assert [p_text(p) for p in (0.0001, 1 / 12870, 1 / 20000, 0.05, 1)] == [
        "0.0001",
        "0.00008",
        "0.00005",
        "0.0500",
        "1.0000",
    ]
