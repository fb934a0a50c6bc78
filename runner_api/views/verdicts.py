"""Arrange the verdicts of an analysis as a heat map: a row for each question, a cell for each model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner_api.views.apart import furthest, model_apart
from runner_api.views.figures import decimals, percent, points
from runner_api.views.words import counted
from runner_core.statuses import in_order


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
ANSWERED = "answered"  # of a map without an analysis: it counts answers
ANSWERS = Mark("\N{BULLET}", "answers", "answers, which are not compared")
DIFFERENT = ("withheld_differs", "wording_differs")


@dataclass(frozen=True)
class Cell:
    """One question of one model. `number` is empty where the verdict allows none; so is `happened`.

    `happened` says what the regions did, where one of them withheld its answer or gave none. `furthest` is the region
    whose answers are furthest from those of the others, where the wording differs. `size` is how far the regions are
    apart, `withheld` the number of withheld answers, `errors` that of failed calls.
    """

    model: str
    verdict: str
    number: str
    happened: str
    errors: int
    withheld: int = 0
    furthest: str = ""
    size: float = 0.0

    @property
    def mark(self) -> Mark:
        """The letter of the cell's verdict."""
        return MARKS.get(self.verdict, ANSWERS)

    @property
    def differs(self) -> bool:
        """Whether the question is marked for this model."""
        return self.verdict in DIFFERENT


@dataclass(frozen=True)
class Line:
    """One question with a cell for each model, None for a model that the analysis does not have."""

    question: Mapping[str, Any]
    cells: list[Cell | None]


@dataclass(frozen=True)
class Whole:
    """All questions of one model but the controls. `differs`: sentences of which region differs from which.

    `withheld` and `excess` are as in the result, empty where there is no number.
    """

    differs: list[str]
    withheld: str
    excess: str


@dataclass(frozen=True)
class HeatMap:
    """The questions in the job's order; the control questions apart. `whole`: by model, None without an analysis."""

    lines: list[Line]
    controls: list[Line]
    whole: list[Whole | None]

    @property
    def legend(self) -> list[tuple[str, Mark]]:
        """The verdicts that the map shows, with their marks."""
        shown = {cell.verdict for line in self.all_lines for cell in line.cells if cell}
        return [(verdict, mark) for verdict, mark in {**MARKS, ANSWERED: ANSWERS}.items() if verdict in shown]

    @property
    def all_lines(self) -> list[Line]:
        """The lines as they stand below each other."""
        return [*self.lines, *self.controls]


def heat_map(result: Mapping[str, Any], questions: Sequence[Mapping[str, Any]], models: Sequence[str]) -> HeatMap:
    """Return the heat map of an analysis' result. `questions` and `models` are the job's, in the order of display."""
    found = {
        (model["model_id"], question["question_id"]): question
        for model in result["models"]
        for question in model["questions"]
    }
    lines = [Line(asked, [_cell(model, found.get((model, asked["id"]))) for model in models]) for asked in questions]
    of_model = {model["model_id"]: model for model in result["models"]}
    whole = [_whole(of_model[model]) if model in of_model else None for model in models]
    return _parted(lines, result["design"]["controls"], whole)


def answer_map(
    rows: Iterable[Mapping[str, Any]],
    questions: Sequence[Mapping[str, Any]],
    models: Sequence[str],
    controls: Iterable[str],
) -> HeatMap:
    """Return the map of a job without an analysis: how many calls are answered, withheld and failed."""
    calls: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        calls.setdefault((row["question_id"], row["model_id"]), []).append(row)
    lines = [
        Line(asked, [_answered(model, calls.get((asked["id"], model))) for model in models]) for asked in questions
    ]
    return _parted(lines, controls, [None] * len(models))


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
    withheld = sum(region["withheld"] for region in regions)
    number, happened = _number(question), question["happened"] if told else ""
    apart = furthest(question["across"]) if question["verdict"] == "wording_differs" else ""
    size = abs(question["points" if question["verdict"] == "withheld_differs" else "excess"] or 0.0)
    return Cell(model, question["verdict"], number, happened, errors, withheld, apart, size)


def _answered(model: str, rows: Sequence[Mapping[str, Any]] | None) -> Cell | None:
    if not rows:
        return None
    done = sum(row["status"] == "completed" for row in rows)
    withheld = sum(bool((row["output"] or {}).get("refused")) for row in rows)
    errors = sum(row["status"] == "failed" for row in rows)
    told = f"{withheld} refused" if withheld else ""
    return Cell(model, ANSWERED, f"{done} of {counted(len(rows), 'call')}", told, errors, withheld)


def _whole(model: Mapping[str, Any]) -> Whole:
    rates, excess = model["withheld"]["regions"], model["wording"]["excess"]
    told = [f"{region} {percent(rates[region]['rate'])}" for region in in_order(rates)]
    some = any(rate["rate"] for rate in rates.values())
    differs = model_apart(model["pairs"])
    return Whole(differs, ", ".join(told) if some else "", "" if excess is None else f"excess {decimals(excess)}")


def _parted(lines: Sequence[Line], controls: Iterable[str], whole: list[Whole | None]) -> HeatMap:
    apart = set(controls)
    return HeatMap(
        [line for line in lines if line.question["id"] not in apart],
        [line for line in lines if line.question["id"] in apart],
        whole,
    )


def _number(question: Mapping[str, Any]) -> str:
    """Return how far the regions are apart. A cell that can't tell has no number: it would look like a finding."""
    verdict = question["verdict"]
    if verdict == "withheld_differs":
        return f"{points(question['points'])} points"
    if verdict in ("wording_differs", "no_difference_found") and question["excess"] is not None:
        return f"excess {decimals(question['excess'])}"
    return ""
