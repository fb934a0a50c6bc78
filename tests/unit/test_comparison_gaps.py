"""What a result says where answers are missing: it accuses no region of what nobody knows."""

from typing import Any

import pytest

from runner_core.comparison.compare import analyse
from runner_core.comparison.headline import ALL_WITHHELD, SINGLE_TEXTS
from runner_core.comparison.material import Material
from tests.comparison_jobs import Answered, conditions, drawn_text, export

REFUSED: Answered = ("hard_refusal", "I can't talk about that.")
FAILED: Answered = (None, "")
TEN = tuple(f"q{number:02}" for number in range(10))
THREE = ("ASIA", "EU", "US")
EIGHT = tuple("ABCDEFGH")
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


def test_an_error_reads_as_no_refusal() -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return {"ASIA": FAILED, "EU": ("non_answer", "?"), "US": REFUSED}[region]

    (question,) = result_of(answer, regions=THREE, questions=("q",))["models"][0]["questions"]
    assert question["happened"] == "ASIA failed, EU gave no usable answer, US withheld"


def test_rates_of_other_questions_are_not_set_against_the_difference() -> None:
    """EU's rate is the higher one only by questions that US never answered."""

    def answer(model: str, question: str, region: str, run: int) -> Answered:
        if int(question[1:]) < 5:
            return REFUSED if region == "US" and run <= 2 else ("answer", "x")
        return REFUSED if region == "EU" else FAILED

    text = result_of(answer, runs=5, questions=TEN)["headline"]["text"]
    assert text.startswith(
        "m withheld its answer in EU in 50 % of 50 answers, in US in 40 % of 25 "
        "(on the questions that both answered US withheld 40 points more, 95 % interval "
    )


@pytest.mark.parametrize("runs", [1, 5])
def test_where_everything_is_withheld_more_runs_tell_nothing(runs: int) -> None:
    assert result_of(lambda *_: REFUSED, runs=runs, questions=TEN)["headline"] == {
        "kind": "not_enough",
        "text": ALL_WITHHELD,
    }


def test_a_region_with_one_answer_did_not_repeat_itself() -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return FAILED if region == "ASIA" and run > 1 else ("answer", f"same {region}")

    assert SINGLE_TEXTS not in result_of(answer, regions=THREE, runs=3)["headline"]["text"]
    assert SINGLE_TEXTS in result_of(answer, regions=("EU", "US"), runs=3)["headline"]["text"]


def test_one_run_of_many_regions_is_not_enough() -> None:
    result = result_of(drawn, runs=1, questions=("q",), regions=EIGHT)
    assert result["models"][0]["withheld"]["min_p"] == 1
    assert result["headline"]["kind"] == "not_enough"


@pytest.mark.parametrize(
    ("vary", "min_p", "kind"), [(1, 1, "not_enough"), (2, 1 / 8, "not_enough"), (3, 1 / 64, "none")]
)
def test_many_regions_of_which_few_vary(vary: int, min_p: float, kind: str) -> None:
    """Eight regions with one answer to each of ten questions: in `vary` questions one region withholds."""

    def answer(model: str, question: str, region: str, run: int) -> Answered:
        number = int(question[1:])
        return REFUSED if number < vary and region == EIGHT[number] else ("answer", question)

    result = result_of(answer, runs=1, questions=TEN, regions=EIGHT)
    assert result["models"][0]["withheld"]["min_p"] == min_p
    assert result["headline"]["kind"] == kind


def test_unequal_numbers_have_the_p_of_an_outcome_that_is_possible() -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        number = int(question[1:])
        if (question, region) == ("q00", "H"):
            return FAILED
        return REFUSED if number < 2 and region == EIGHT[number] else ("answer", question)

    (model,) = result_of(answer, runs=1, questions=TEN, regions=EIGHT)["models"]
    assert model["withheld"]["min_p"] == pytest.approx(1 / 8, abs=0.02), "7 of 56 ways"


def test_the_power_of_a_job_is_that_of_the_answers_it_has() -> None:
    result = result_of(lambda m, q, region, run: FAILED if run > 3 else drawn(m, q, region, run), runs=5, questions=TEN)
    assert result["headline"]["text"].startswith("No difference found. With 3 runs of 10 questions a difference of 20 ")
