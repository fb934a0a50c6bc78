"""How alike regions answered one question, and how their answers differ, from rows alone."""

from typing import Any

import pytest

from runner_api.views.comparison import Similarity, answer_of, similarity
from runner_api.views.diff import MAX_WORDS


def row(region: str, text: str | None, status: str = "completed", **changes: Any) -> dict[str, Any]:
    return {
        "id": 2,
        "execution_id": 1,
        "region": region,
        "model_id": "m1",
        "question_id": "q1",
        "run_no": 1,
        "status": status,
        "output": None if text is None else {"response": text},
    } | changes


def test_similarity_is_the_least_overlap_of_two_regions() -> None:
    rows = [row("US", "a b c d"), row("EU", "a b c d"), row("ASIA", "a b x y")]
    found = similarity(rows, "m1", "q1")
    assert (found.overlap, found.shade) == (0.5, 2)


def test_other_models_questions_and_runs_do_not_count() -> None:
    rows = [row("US", "a b"), row("EU", "a b"), row("ASIA", "x", model_id="m2"), row("ASIA", "x", question_id="q2")]
    assert similarity([*rows, row("US", "x y", run_no=2)], "m1", "q1").overlap == 1.0


def test_what_was_refused_and_what_failed_is_counted() -> None:
    rows = [row("US", "no", output={"response": "no", "refused": True}), row("EU", None, "failed")]
    found = similarity(rows, "m1", "q1")
    assert (found.overlap, found.refused, found.failed) == (None, 1, 1)


def test_a_script_without_spaces_has_no_number() -> None:
    found = similarity([row("US", "埃菲尔铁塔位于巴黎"), row("EU", "塔在法国巴黎")], "m1", "q1")
    assert (found.overlap, found.without_words, found.shade) == (None, True, 0)


@pytest.mark.parametrize(("overlap", "shade"), [(1.0, 0), (0.9, 0), (0.89, 1), (0.5, 2), (0.3, 3), (0.0, 4), (None, 0)])
def test_five_shades(overlap: float | None, shade: int) -> None:
    assert Similarity("m1", overlap, False, 0, 0).shade == shade


def test_an_answer_differs_from_the_base_by_words() -> None:
    base, other = row("US", "in Paris"), row("EU", "in Rome")
    found = answer_of("EU", other, base)
    assert found.pieces is not None
    assert [(piece.kind, piece.text.strip()) for piece in found.pieces] == [
        ("same", "in"),
        ("removed", "Paris"),
        ("added", "Rome"),
    ]
    assert (found.words, found.anchor, found.remark) == (2, "call-2", "")


@pytest.mark.parametrize(
    ("text", "against", "remark"),
    [
        ("in Paris", "in Paris", "The texts are equal."),
        ("埃菲尔铁塔", "in Paris", "No spaces between the words: not compared word by word."),
        ("a " * (MAX_WORDS + 1), "in Paris", "Too long to compare word by word."),
    ],
)
def test_a_text_that_is_not_compared_has_a_remark(text: str, against: str, remark: str) -> None:
    found = answer_of("EU", row("EU", text), row("US", against))
    assert (found.pieces, found.remark) == (None, remark)


def test_the_base_and_a_missing_answer_are_not_compared() -> None:
    base = row("US", "in Paris")
    assert answer_of("US", base, base).pieces is None
    missing = answer_of("EU", None, base)
    assert (missing.text, missing.pieces, missing.anchor) == ("", None, None)
