"""What the regions answered to one question, arranged for the page: equal texts once, compared with the base."""

from typing import Any

import pytest

from runner_api.views.comparison import Side, sides
from runner_api.views.diff import MAX_WORDS


def row(region: str, text: str | None, run: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": 2,
        "execution_id": 1,
        "region": region,
        "run_no": run,
        "status": "failed" if text is None else "completed",
        "output": None if text is None else {"response": text},
        "error_detail": None if text is not None else {"code": "http_503"},
    } | changes


def arranged(rows: list[dict[str, Any]], base: str | None = "US", **categories: str) -> dict[str, Side]:
    """The sides of US, EU and ASIA; every answer is an `answer` but those of a region named with another category."""
    judged = [
        {"region": r["region"], "run_no": r["run_no"], "category": categories.get(r["region"], "answer")} for r in rows
    ]
    return {side.region: side for side in sides(["US", "EU", "ASIA"], rows, judged, base)}


def test_equal_texts_stand_once_with_their_runs_and_the_commonest_first() -> None:
    rows = [row("US", "b", 1), row("US", "a", 2), row("US", "a", 3), row("US", None, 4), row("US", None, 5)]
    found = arranged(rows)["US"].texts
    assert [(text.text, text.runs) for text in found] == [("a", [2, 3]), ("b", [1]), ("", [4, 5])]


def test_errors_of_different_codes_are_different_outcomes() -> None:
    rows = [row("US", None, 1), row("US", None, 2, error_detail={"code": "timeout"})]
    assert len(arranged(rows)["US"].texts) == 2


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = [row("US", "a", 1), row("US", "a", 2), row("EU", "b", 1), row("EU", "c", 2)]
    assert arranged(rows) == arranged(rows[::-1])


def test_a_model_that_is_not_planned_in_a_region_has_no_texts_there() -> None:
    assert arranged([row("US", "a")])["ASIA"].texts == []


def test_an_answer_differs_from_the_base_by_words() -> None:
    (found,) = arranged([row("US", "in Paris"), row("EU", "in Rome")])["EU"].texts
    assert found.pieces is not None
    assert [(piece.kind, piece.text.strip()) for piece in found.pieces] == [
        ("same", "in"),
        ("removed", "Paris"),
        ("added", "Rome"),
    ]
    assert (found.words, found.anchor, found.remark) == (2, "call-2", "")


def test_only_the_commonest_text_of_a_region_is_compared_with_that_of_the_base() -> None:
    rows = [row("US", "in Paris", 1), row("US", "in Paris", 2), row("US", "in Bonn", 3)]
    found = arranged([*rows, row("EU", "in Rome", 1), row("EU", "in Rome", 2), row("EU", "in Oslo", 3)])
    assert [text.pieces is not None for text in found["EU"].texts] == [True, False]
    assert [text.pieces for text in found["US"].texts] == [None, None]


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("in Paris", "The texts are equal."),
        ("埃菲尔铁塔", "No spaces between the words: not compared word by word."),
        ("a " * (MAX_WORDS + 1), "Too long to compare word by word."),
    ],
)
def test_a_text_that_is_not_compared_has_a_remark(text: str, remark: str) -> None:
    (found,) = arranged([row("US", "in Paris"), row("EU", text)])["EU"].texts
    assert (found.pieces, found.remark) == (None, remark)


@pytest.mark.parametrize("withheld", ["US", "EU"])
def test_a_refusal_is_not_compared_with_an_answer_word_by_word(withheld: str) -> None:
    rows = [row("US", "in Paris"), row("EU", "in Rome")]
    (found,) = arranged(rows, **{withheld: "hard_refusal"})["EU"].texts
    assert (found.pieces, found.remark) == (None, "")


def test_without_a_base_nothing_is_compared() -> None:
    (found,) = arranged([row("EU", "in Paris")], base=None)["EU"].texts
    assert (found.pieces, found.remark) == (None, "")


def test_a_text_under_two_categories_stands_twice() -> None:
    """A person may have labelled one of two equal answers."""
    rows = [row("US", "a", 1), row("US", "a", 2)]
    judged = [
        {"region": "US", "run_no": 1, "category": "answer"},
        {"region": "US", "run_no": 2, "category": "deflection"},
    ]
    (side,) = sides(["US"], rows, judged, "US")
    assert [text.judged["category"] for text in side.texts] == ["answer", "deflection"]
