"""Choose the answers that a report shows: bounded in size, those of differing questions first. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import escape

from runner_api.views import Row
from runner_api.views.comparison import Side, Text, sides
from runner_api.views.verdicts import Cell, HeatMap

MAX_BYTES = 6_000_000  # of all answers of a report: what a mail takes, and a browser prints
TEXT_CHARACTERS = 3000  # of one text; at A4 a column of three then fits on a page and a half
BESIDE_BYTES = 1000  # of one text's numbers, badges and tags
_TEXTS = ("partial", "filter_words")  # of an output, beside its response


@dataclass(frozen=True)
class Shown:
    """The answers to one question of one model. `first`: whether they are the question's first in the report."""

    question: Mapping[str, Any]
    cell: Cell
    anchor: str
    sides: list[Side]
    first: bool


@dataclass(frozen=True)
class LeftOut:
    """A question with the models whose answers are not in the report."""

    question: Mapping[str, Any]
    models: list[str]


def answers(
    heat: HeatMap,
    regions: Sequence[str],
    rows: Iterable[Row],
    judged: Iterable[Mapping[str, Any]],
    max_bytes: int = MAX_BYTES,
) -> tuple[list[Shown], list[LeftOut]]:
    """Return the answers in the order of the map, and what is left out because the report would be too large.

    Which are shown: first those of the questions that differ, then those of refusals and errors, then the others.
    `judged` are the calls of the export.
    """
    calls, categories = _by_place(rows, "question_id"), _by_place(judged, "question_key")
    cells = [(line.question, cell) for line in heat.all_lines for cell in line.cells if cell is not None]
    chosen: dict[int, list[Side]] = {}
    left = max_bytes
    for number in sorted(range(len(cells)), key=lambda number: _turn(cells[number][1])):
        question, cell = cells[number]
        place = (question["id"], cell.model)
        found = sides(regions, map(_cut, calls.get(place, ())), categories.get(place, ()), None)
        size = sum(_bytes(text) for side in found for text in side.texts)
        if size <= left:
            chosen[number] = found
            left -= size
    shown: list[Shown] = []
    for number, found in sorted(chosen.items()):
        question, cell = cells[number]
        first = not shown or shown[-1].question is not question
        shown.append(Shown(question, cell, f"answers-{number + 1}", found, first))
    return shown, _left_out([cells[number] for number in range(len(cells)) if number not in chosen])


def _turn(cell: Cell) -> int:
    return 0 if cell.differs else 1 if cell.withheld or cell.errors else 2


def _left_out(cells: Iterable[tuple[Mapping[str, Any], Cell]]) -> list[LeftOut]:
    found: dict[str, LeftOut] = {}
    for question, cell in cells:
        found.setdefault(question["id"], LeftOut(question, [])).models.append(cell.model)
    return list(found.values())


def _by_place(rows: Iterable[Mapping[str, Any]], key: str) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        found.setdefault((row[key], row["model_id"]), []).append(row)
    return found


def _cut(row: Row) -> Row:
    """Return the row with short texts beside the answer. The answer stays whole: it is counted, and cut where shown."""
    output, error = row["output"], row["error_detail"]
    if output:
        output = {**output, **{name: output[name][:TEXT_CHARACTERS] for name in _TEXTS if output.get(name)}}
    if error:
        error = {**error, "message": str(error.get("message", ""))[:TEXT_CHARACTERS]}
    return {**row, "output": output, "error_detail": error}


def _bytes(text: Text) -> int:
    output, error = text.row["output"] or {}, text.row["error_detail"] or {}
    told = (text.text[:TEXT_CHARACTERS], *(output.get(name) for name in _TEXTS), error.get("message"))
    return BESIDE_BYTES + sum(len(escape(part).encode("utf-8", "replace")) for part in told if part)
