"""Regions that repeat themselves: what may come from a cache is no difference, whatever its p."""

from typing import Any

import pytest

from runner_core.comparison.compare import analyse
from runner_core.comparison.headline import DETERMINISTIC, PERHAPS_CACHED, SINGLE_TEXTS
from runner_core.comparison.material import Material
from tests.comparison_jobs import Answered, conditions, drawn_text, export

LONG = " ".join(f"word{number}" for number in range(25))
TEN = tuple(f"q{number:02}" for number in range(10))


def result_of(answer: Any, *, parameters: dict[str, Any] | None = None, **job: Any) -> dict[str, Any]:
    if parameters is not None:
        job["conditions"] = [conditions("m", region, parameters=parameters) for region in ("EU", "US")]
    return analyse(Material.of_export(export(answer, runs=5, questions=TEN, **job)))


def codes(result: dict[str, Any]) -> list[str]:
    return [caution["code"] for caution in result["cautions"]]


def test_wording_from_a_cache_is_no_difference() -> None:
    result = result_of(lambda m, q, region, run: ("answer", f"{LONG} {region}"))
    (model,) = result["models"]
    assert codes(result) == ["runs_repeat"]
    assert model["wording"]["differs"], "each copy counts as an answer in p"
    assert result["headline"] == {"kind": "not_enough", "text": PERHAPS_CACHED}


def test_one_region_from_a_cache_makes_no_difference() -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return "answer", drawn_text(model, question, region, 1 if region == "EU" else run)

    result = result_of(answer)
    assert codes(result) == ["runs_repeat"]
    assert result["models"][0]["wording"]["differs"]
    assert result["headline"]["kind"] == "not_enough"
    assert result["headline"]["text"].startswith(
        "Not enough evidence: EU repeated itself word for word in every question"
    )


def test_facts_of_copies_are_no_difference() -> None:
    """Five copies of one text name a fact five times; they are one answer that names the fact."""
    result = result_of(lambda m, q, region, run: ("answer", f"{LONG} {region}"), facts={"q00": ["us"]})
    (model,) = result["models"]
    assert model["facts"]["differs"], "each copy counts as an answer in p"
    assert result["headline"] == {"kind": "not_enough", "text": PERHAPS_CACHED}


@pytest.mark.parametrize(
    ("cached", "subject"), [(("EU",), "EU repeated itself"), (("ASIA", "EU"), "ASIA and EU repeated themselves")]
)
def test_facts_of_some_cached_regions_are_no_difference(cached: tuple[str, ...], subject: str) -> None:
    """Each copy names the fact, and counts as an answer in the p of facts."""

    def answer(model: str, question: str, region: str, run: int) -> Answered:
        text = drawn_text(model, question, "same", 1 if region in cached else run)
        return "answer", f"{text} tiananmen" if region in cached else text

    result = result_of(answer, regions=("ASIA", "EU", "US"), facts={key: ["tiananmen"] for key in TEN})
    assert result["models"][0]["facts"]["differs"]
    assert result["headline"]["kind"] == "not_enough"
    assert result["headline"]["text"].startswith(f"Not enough evidence: {subject} word for word in every question,")


def test_facts_without_a_cache_are_a_difference() -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return "answer", drawn_text(model, question, region, run) + (" tiananmen" if region == "EU" else "")

    headline = result_of(answer, facts={key: ["tiananmen"] for key in TEN})["headline"]
    assert headline["kind"] == "difference"
    assert "names 100 % of the listed facts in EU" in headline["text"]


@pytest.mark.parametrize("parameters", [{}, {"temperature": None}, {"temperature": 0.7}])
def test_a_sentence_claims_no_temperature_that_was_not_sent(parameters: dict[str, Any]) -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return "answer", drawn_text(model, question, region, 1 if region == "EU" else run)

    result = result_of(answer, parameters=parameters)
    assert "without a temperature of 0" in result["headline"]["text"]
    assert "above 0" not in result["headline"]["text"] + result["cautions"][0]["text"]


@pytest.mark.parametrize(
    ("cached", "asked"),
    [(("EU", "US"), []), (("EU",), []), (("ASIA",), [("EU", "US")])],
)
def test_copies_do_not_say_whether_two_models_are_the_same(cached: tuple[str, ...], asked: list[Any]) -> None:
    """Each copy counts as an answer in the p of a pair, as it does in the p of the model."""

    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return "answer", drawn_text(model, question, region, 1 if region in cached else run)

    regions = ("ASIA", "EU", "US") if "ASIA" in cached else ("EU", "US")
    pairs = result_of(answer, regions=regions)["models"][0]["pairs"]
    states = {(pair["a"], pair["b"]): pair["same_model"]["state"] for pair in pairs}
    assert [pair for pair, state in states.items() if state != "not_asked"] == asked
    told = next(pair["same_model"]["text"] for pair in pairs if pair["same_model"]["state"] == "not_asked")
    assert "The texts may come from a cache, so that all runs count as one." in told


def test_another_model_differs_all_the_same() -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        if model == "cached":
            return "answer", f"{LONG} {region}"
        return "answer", drawn_text(model, question, "ASIA" if region == "EU" else region, run, shift=0.6)

    headline = result_of(answer, models=("cached", "m"))["headline"]
    assert headline["kind"] == "difference"
    assert headline["text"].startswith("m's answers differ")


def test_withheld_answers_are_told_behind_the_caution() -> None:
    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return ("hard_refusal", "No.") if region == "EU" and question > "q03" else ("answer", LONG)

    result = result_of(answer)
    assert codes(result) == ["runs_repeat"]
    assert result["headline"]["text"].startswith("m withheld its answer in EU in 60 %")


def test_at_temperature_0_sampling_chance_is_excluded() -> None:
    result = result_of(lambda m, q, region, run: ("answer", f"{LONG} {region}"), parameters={"temperature": 0})
    assert codes(result) == []
    assert result["headline"]["kind"] == "difference"
    assert result["headline"]["text"].endswith(DETERMINISTIC)


def test_short_texts_repeat_each_other_without_a_cache() -> None:
    result = result_of(lambda m, q, region, run: ("answer", f"It is {region}"))
    assert codes(result) == []
    assert result["headline"]["text"].endswith(SINGLE_TEXTS)
    assert "excluded" not in result["headline"]["text"]


@pytest.mark.parametrize(
    ("seeds", "state", "text"),
    [
        ("own", "no_sign", "before any correction."),
        ("provider", "no_sign", "No seed was sent in EU and US: the provider drew its own random numbers"),
        ("shared", "not_asked", "The regions shared their seeds"),
        ("none", "not_asked", "It is not known with which seeds the calls were sent"),
    ],
)
def test_same_model_needs_seeds_that_regions_do_not_share(seeds: str, state: str, text: str) -> None:
    places = [conditions("m", region, seeds=seeds) for region in ("EU", "US")]
    result = result_of(lambda m, q, region, run: ("answer", drawn_text(m, q, region, run)), conditions=places)
    (pair,) = result["models"][0]["pairs"]
    assert pair["same_model"]["state"] == state
    assert text in pair["same_model"]["text"]


@pytest.mark.parametrize(
    ("usable", "text"),
    [
        (lambda question, run: True, "; with 5 runs of 10 questions an excess of 0.022 would be found in 99 %, before"),
        (lambda question, run: question > "q00" or run <= 3, "; with 3 runs of 10 questions an excess of 0.022 would"),
        (lambda question, run: question > "q00" or run == 1, "No sign of different models."),
    ],
)
def test_what_a_pair_would_have_found(usable: Any, text: str) -> None:
    """By the nearest row below of the table of power: ten questions with so many answers on both sides."""

    def answer(model: str, question: str, region: str, run: int) -> Answered:
        return ("answer", drawn_text(model, question, region, run)) if usable(question, run) else (None, "")

    (pair,) = result_of(answer)["models"][0]["pairs"]
    assert text in pair["same_model"]["text"]
