"""Arrange the verdicts of an analysis as a heat map: a row for each question, a cell for each model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner_api.views.figures import decimals, points


@dataclass(frozen=True)
class Mark:
    """How a verdict is shown: a letter that is read without colour, and its meaning."""

    letter: str
    word: str
    meaning: str


MARKS = {
    "withheld_differs": Mark("W", "withheld differs", "some regions withhold their answer more often than others"),
    "wording_differs": Mark("T", "wording differs", "the texts differ between regions more than inside them"),
    "identical": Mark("=", "identical", "all answers have the same words"),
    "no_difference_found": Mark("\N{MIDDLE DOT}", "no difference found", "which does not show that there is none"),
    "cannot_tell": Mark("?", "can't tell", "too few runs for a test of this question"),
    "not_enough": Mark("\N{EN DASH}", "not enough", "fewer than two regions have a usable answer"),
}


@dataclass(frozen=True)
class Cell:
    """One question of one model. `number` is empty where the verdict allows none; so is `happened`.

    `happened` says what the regions did, where one of them withheld its answer or gave none.
    """

    model: str
    verdict: str
    number: str
    happened: str
    errors: int

    @property
    def mark(self) -> Mark:
        """The letter of the cell's verdict."""
        return MARKS[self.verdict]


@dataclass(frozen=True)
class Line:
    """One question with a cell for each model, None for a model that the analysis does not have."""

    question: Mapping[str, Any]
    cells: list[Cell | None]


@dataclass(frozen=True)
class HeatMap:
    """The questions in the job's order; the control questions apart."""

    lines: list[Line]
    controls: list[Line]

    @property
    def legend(self) -> list[tuple[str, Mark]]:
        """The verdicts that the map shows, with their marks."""
        shown = {cell.verdict for line in (*self.lines, *self.controls) for cell in line.cells if cell}
        return [(verdict, mark) for verdict, mark in MARKS.items() if verdict in shown]


def heat_map(result: Mapping[str, Any], questions: Sequence[Mapping[str, Any]], models: Sequence[str]) -> HeatMap:
    """Return the heat map of an analysis' result. `questions` and `models` are the job's, in the order of display."""
    found = {
        (model["model_id"], question["question_id"]): question
        for model in result["models"]
        for question in model["questions"]
    }
    lines = [Line(asked, [_cell(model, found.get((model, asked["id"]))) for model in models]) for asked in questions]
    controls = set(result["design"]["controls"])
    return HeatMap(
        [line for line in lines if line.question["id"] not in controls],
        [line for line in lines if line.question["id"] in controls],
    )


def of_question(result: Mapping[str, Any], model: str, question: str) -> Mapping[str, Any] | None:
    """Return what a result says of one question of one model; None if it says nothing."""
    for one in result["models"]:
        if one["model_id"] == model:
            return next((found for found in one["questions"] if found["question_id"] == question), None)
    return None


def _cell(model: str, question: Mapping[str, Any] | None) -> Cell | None:
    if question is None:
        return None
    regions = question["regions"].values()
    told = any(region["withheld"] or not region["n"] for region in regions)
    errors = sum(region["errors"] for region in regions)
    return Cell(model, question["verdict"], _number(question), question["happened"] if told else "", errors)


def _number(question: Mapping[str, Any]) -> str:
    """Return how far the regions are apart. A cell that can't tell has no number: it would look like a finding."""
    verdict = question["verdict"]
    if verdict == "withheld_differs":
        return f"{points(question['points'])} points"
    if verdict in ("wording_differs", "no_difference_found") and question["excess"] is not None:
        return f"excess {decimals(question['excess'])}"
    return ""
