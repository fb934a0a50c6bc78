"""Which answers a report shows: bounded in bytes, those of differing questions first, and all others named."""

from typing import Any

from runner_api.views import report_answers
from runner_api.views.report_answers import BESIDE_BYTES, TEXT_CHARACTERS, answers
from runner_api.views.verdicts import Cell, HeatMap, Line

REGIONS = ("EU", "US")


def job(texts: dict[str, str], differing: str = "") -> tuple[HeatMap, list[dict[str, Any]], list[dict[str, Any]]]:
    """A map with a line for each text, its rows, and the calls of its export."""
    lines, rows, judged = [], [], []
    for name, text in texts.items():
        verdict = "wording_differs" if name == differing else "no_difference_found"
        lines.append(Line({"id": name, "text": f"{name}?"}, [Cell("m", verdict, "", "", 0)]))
        for region in REGIONS:
            place = {"model_id": "m", "region": region, "run_no": 1}
            output = {"response": text, "partial": text}
            rows.append({**place, "question_id": name, "status": "completed", "output": output, "error_detail": None})
            judged.append({**place, "question_key": name, "category": "answer"})
    return HeatMap(lines, [], []), rows, judged


def test_everything_is_shown_where_it_fits() -> None:
    shown, left_out = answers(*parts(job({"a": "one", "b": "two"})))
    assert [one.question["id"] for one in shown] == ["a", "b"]
    assert [[text.text for side in one.sides for text in side.texts] for one in shown] == [["one"] * 2, ["two"] * 2]
    assert [one.first for one in shown] == [True, True]
    assert left_out == []


def test_too_large_a_report_keeps_what_differs_and_names_the_rest() -> None:
    size = 2 * (2 * 100 + BESIDE_BYTES)
    shown, left_out = answers(*parts(job({name: name * 100 for name in "abc"}, "c")), max_bytes=2 * size)
    assert [one.question["id"] for one in shown] == ["a", "c"], "in the order of the map"
    assert [(one.question["id"], one.models) for one in left_out] == [("b", ["m"])]


def test_bytes_are_counted_as_they_are_written() -> None:
    size = 2 * (2 * 100 + BESIDE_BYTES)
    shown, _ = answers(*parts(job({"a": "<" * 100})), max_bytes=size)
    assert shown == [], "each < is written as &lt;"
    shown, _ = answers(*parts(job({"a": "中" * 100})), max_bytes=size)
    assert shown == []


def test_a_long_text_counts_as_much_as_is_shown_of_it() -> None:
    size = 2 * (2 * TEXT_CHARACTERS + BESIDE_BYTES)
    shown, _ = answers(*parts(job({"a": "x" * 2_000_000})), max_bytes=size)
    (text,) = shown[0].sides[0].texts
    assert len(text.text) == 2_000_000, "its length is told"
    assert len(text.row["output"]["partial"]) == TEXT_CHARACTERS


def test_the_bound_is_what_a_mail_takes() -> None:
    assert report_answers.MAX_BYTES <= 10_000_000


def parts(made: tuple[HeatMap, list[dict[str, Any]], list[dict[str, Any]]]) -> tuple[Any, ...]:
    heat, rows, judged = made
    return heat, REGIONS, rows, judged
