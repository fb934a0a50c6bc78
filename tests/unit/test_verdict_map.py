"""The heat map of verdicts, from the result of an analysis alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from runner_api.views.figures import decimals
from runner_api.views.verdicts import ANSWERED, MARKS, answer_map, heat_map, of_question
from runner_core.comparison.verdict import VERDICTS

RESULT: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/analysis.json").read_text())
QUESTIONS = [{"id": f"q{n:02}", "text": "?"} for n in range(10, 1, -1)] + [{"id": "math_basic", "text": "2+2?"}]


def test_every_verdict_has_a_letter_of_its_own() -> None:
    assert set(MARKS) == set(VERDICTS)
    letters = {verdict: mark.letter for verdict, mark in MARKS.items()}
    assert (letters["withheld_differs"], letters["wording_differs"], letters["identical"]) == ("W", "T", "=")
    assert len(set(letters.values())) == len(letters)


def test_questions_stand_in_the_order_of_the_job_and_controls_apart() -> None:
    found = heat_map(RESULT, QUESTIONS, ["m2", "m"])
    assert [line.question["id"] for line in found.lines] == [question["id"] for question in QUESTIONS[:-1]]
    assert [line.question["id"] for line in found.controls] == ["math_basic"]
    assert [cell and cell.model for cell in found.lines[0].cells] == ["m2", "m"]
    assert [mark.letter for _, mark in found.legend] == ["W", "·"]


def test_a_cell_has_a_number_and_what_happened() -> None:
    found = {line.question["id"]: line.cells[0] for line in heat_map(RESULT, QUESTIONS, ["m"]).lines}
    withheld, quiet, failed = found["q02"], found["q04"], found["q10"]
    assert withheld
    assert quiet
    assert failed
    assert (withheld.number, withheld.happened) == ("100 points", "ASIA withheld, EU and US answered")
    assert (quiet.number, quiet.happened, quiet.errors) == ("excess 0.01", "", 0)
    assert failed.errors == 1


@pytest.mark.parametrize("verdict", ["cannot_tell", "not_enough", "identical"])
def test_a_cell_that_claims_nothing_has_no_number(verdict: str) -> None:
    question = of_question(RESULT, "m", "q02")
    assert question
    model = next(model for model in RESULT["models"] if model["model_id"] == "m")
    changed = RESULT | {"models": [model | {"questions": [dict(question) | {"verdict": verdict}]}]}
    (line,) = heat_map(changed, [{"id": "q02", "text": "?"}], ["m"]).lines
    assert line.cells[0]
    assert (line.cells[0].number, line.cells[0].happened) == ("", "ASIA withheld, EU and US answered")


def test_a_question_or_a_model_that_was_not_analysed_has_no_cell() -> None:
    (line,) = heat_map(RESULT, [{"id": "new", "text": "?"}], ["m", "other"]).lines
    assert line.cells == [None, None]
    assert of_question(RESULT, "other", "q02") is None
    assert of_question(RESULT, "m", "new") is None


def test_all_questions_of_a_model_are_told_by_the_numbers_of_the_result() -> None:
    model, other = (next(one for one in RESULT["models"] if one["model_id"] == name) for name in ("m", "m2"))
    found = heat_map(RESULT, QUESTIONS, ["m", "m2", "new"]).whole
    assert found[2] is None
    assert found[0]
    assert found[1]
    rate = model["withheld"]["regions"]["ASIA"]["rate"]
    assert f"ASIA {round(100 * rate)} %" in found[0].withheld.replace("\N{NO-BREAK SPACE}", " ")
    assert found[0].excess == f"excess {decimals(model['wording']['excess'])}"
    assert found[0].differs == ["withheld: ASIA differs from EU and US"]
    assert other["withheld"]["differs"] is False
    assert (found[1].withheld, found[1].differs) == ("", [])


def test_without_an_analysis_the_map_counts_answers() -> None:
    rows = [
        {"question_id": "q", "model_id": "m", "status": status, "output": output}
        for status, output in (
            ("completed", {"response": "no", "refused": True}),
            ("completed", {"response": "yes"}),
            ("failed", None),
            ("pending", None),
        )
    ]
    found = answer_map(rows, [{"id": "q", "text": "?"}, {"id": "c", "text": "?"}], ["m", "new"], ["c"])
    ((cell, none),) = [line.cells for line in found.lines]
    assert cell
    assert none is None
    assert (cell.verdict, cell.number, cell.happened) == (ANSWERED, "2 of 4 calls", "1 refused")
    assert (cell.errors, cell.withheld, cell.differs) == (1, 1, False)
    assert [line.question["id"] for line in found.controls] == ["c"]
