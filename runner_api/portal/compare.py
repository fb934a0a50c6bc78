"""Comparing regions: a heat map of the whole job, and one question of one model side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from runner_api.portal import diff, grid
from runner_api.portal.blueprint import blueprint, page
from runner_api.services import services
from runner_core.errors import NotFound
from runner_core.queries import Row
from runner_core.statuses import in_order, verdict
from runner_core.store import portal, reads

STEPS = (0.9, 0.7, 0.5, 0.3)  # from alike to unlike; five shades


@dataclass(frozen=True)
class Answer:
    """One region's answer; `pieces` lead from the base region's answer to it."""

    region: str
    row: Row | None
    text: str
    pieces: list[diff.Piece] | None
    remark: str = ""

    @property
    def words(self) -> int | None:
        """None where the script has no spaces between words."""
        return len(self.text.split()) if diff.has_words(self.text) else None

    @property
    def anchor(self) -> str | None:
        return grid.Call(self.row, False).anchor if self.row else None


@dataclass(frozen=True)
class Warmth:
    """How alike the regions answered one question of one model: the least overlap of two of them.

    None below two answers, and for answers `without_words` to compare.
    """

    model: str
    overlap: float | None
    without_words: bool
    refused: int
    failed: int

    @property
    def shade(self) -> int:
        """0 (alike) to 4 (unlike)."""
        return sum(self.overlap < step for step in STEPS) if self.overlap is not None else 0


@blueprint.get("/jobs/<job_id>/compare")
def compare(job_id: str) -> Response:
    """The comparison that the query names: model, question, run, and the region that the others are compared with."""
    with services().db.transaction() as conn:
        job, extra = reads.job(conn, job_id), portal.job(conn, job_id)
        rows = reads.job_rows(conn, job_id)
    if job is None or extra is None:
        raise NotFound(detail=f"There is no job {job_id}.")
    regions, models = in_order(job["plan"]), grid.models_of(job["plan"])
    ids = [question["id"] for question in extra["questions"]]
    model = _chosen("model", models)
    question = _chosen("question", ids)
    run = int(_chosen("run", [str(n) for n in range(1, extra["runs"] + 1)]))
    cells = {row["region"]: row for row in rows if _is(row, model, question, run)}
    answered = [region for region in regions if _response(cells.get(region)) is not None]
    base = _chosen("base", answered) if answered else None
    return page(
        "compare.html",
        job=job,
        verdict=verdict(job["status"], job["cross_status"]),
        questions=extra["questions"],
        models=models,
        runs=extra["runs"],
        model=model,
        question=next(q for q in extra["questions"] if q["id"] == question),
        run=run,
        base=base,
        answered=answered,
        answers=[_answer(region, cells.get(region), cells.get(base) if base else None) for region in regions],
        heat=[(q, [_warmth(rows, name, q["id"]) for name in models]) for q in extra["questions"]],
    )


def _chosen(name: str, among: Sequence[str]) -> str:
    asked = request.args.get(name, "")
    return asked if asked in among else among[0]


def _is(row: Row, model: str, question: str, run: int) -> bool:
    return bool(row["model_id"] == model and row["question_id"] == question and row["run_no"] == run)


def _response(row: Row | None) -> str | None:
    output: dict[str, Any] = (row["output"] if row else None) or {}
    return output.get("response")


def _answer(region: str, row: Row | None, base: Row | None) -> Answer:
    text, against = _response(row), _response(base)
    if text is None or against is None or row is base:
        return Answer(region, row, text or "", None)
    if text == against:
        return Answer(region, row, text, None, "The texts are equal.")
    if not (diff.has_words(text) and diff.has_words(against)):
        return Answer(region, row, text, None, "No spaces between the words: not compared word by word.")
    pieces = diff.compare(against, text)
    return Answer(region, row, text, pieces, "" if pieces else "Too long to compare word by word.")


def _warmth(rows: list[Row], model: str, question: str) -> Warmth:
    mine = [row for row in rows if row["model_id"] == model and row["question_id"] == question]
    texts = [text for row in mine if row["run_no"] == 1 and (text := _response(row)) is not None]
    overlaps = [diff.overlap(one, other) for one, other in combinations(texts, 2)]
    known = [overlap for overlap in overlaps if overlap is not None]
    without_words = len(known) < len(overlaps)
    return Warmth(
        model,
        None if without_words else min(known, default=None),
        without_words,
        sum(bool((row["output"] or {}).get("refused")) for row in mine),
        sum(row["status"] == "failed" for row in mine),
    )
