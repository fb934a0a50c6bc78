"""Compare the regions' answers to a question: how alike they are, and how each differs from a chosen one."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from runner_api.views import Row, diff, grid

STEPS = (0.9, 0.7, 0.5, 0.3)  # of the overlap, between five shades


@dataclass(frozen=True)
class Answer:
    """One region's answer. `pieces` are its words and the base region's: the same, added or removed."""

    region: str
    row: Row | None
    text: str
    pieces: list[diff.Piece] | None
    remark: str = ""

    @property
    def words(self) -> int | None:
        """The number of words, None for a script without spaces between words."""
        return len(self.text.split()) if diff.has_words(self.text) else None

    @property
    def anchor(self) -> str | None:
        return grid.Call(self.row, False).anchor if self.row else None


@dataclass(frozen=True)
class Similarity:
    """How alike the regions answered one question of one model: the least overlap of two regions.

    None below two answers, and for answers `without_words` to compare.
    """

    model: str
    overlap: float | None
    without_words: bool
    refused: int
    failed: int

    @property
    def shade(self) -> int:
        """The shade of the cell, from 0 (alike) to 4 (unlike)."""
        return sum(self.overlap < step for step in STEPS) if self.overlap is not None else 0


def response(row: Row | None) -> str | None:
    """Return the text of an answer, None without one. The text of an answer that a filter blocked is empty."""
    output: dict[str, Any] = (row["output"] if row else None) or {}
    return output.get("response")


def answer_of(region: str, row: Row | None, base: Row | None) -> Answer:
    """Return a region's answer, compared with the answer of the base region."""
    text, against = response(row), response(base)
    if not text or not against or row is base:
        return Answer(region, row, text or "", None)
    if text == against:
        return Answer(region, row, text, None, "The texts are equal.")
    if not (diff.has_words(text) and diff.has_words(against)):
        return Answer(region, row, text, None, "No spaces between the words: not compared word by word.")
    pieces = diff.compare(against, text)
    return Answer(region, row, text, pieces, "" if pieces else "Too long to compare word by word.")


def similarity(rows: list[Row], model: str, question: str) -> Similarity:
    """Return how alike the regions answered this question with this model in their first run."""
    mine = [row for row in rows if row["model_id"] == model and row["question_id"] == question]
    texts = [text for row in mine if row["run_no"] == 1 and (text := response(row))]
    overlaps = [diff.overlap(one, other) for one, other in combinations(texts, 2)]
    known = [overlap for overlap in overlaps if overlap is not None]
    without_words = len(known) < len(overlaps)
    return Similarity(
        model,
        None if without_words else min(known, default=None),
        without_words,
        sum(bool((row["output"] or {}).get("refused")) for row in mine),
        sum(row["status"] == "failed" for row in mine),
    )
