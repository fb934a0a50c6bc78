"""Arrange a job's calls as a grid: a block for each question, a line for each model, a cell for each region."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner_api.views import Row
from runner_core.statuses import ENDED, in_order

MANY = 12  # questions: with more, those that are done as hoped are folded when the page is opened
SHOWN = ("failed", "refused")  # what a page can be limited to


@dataclass(frozen=True)
class Call:
    """One run of one question in one region. `row` is a row of the statement portal.calls or reads.rows."""

    row: Row
    retryable: bool

    @property
    def state(self) -> str:
        return str(self.row["status"])

    @property
    def anchor(self) -> str | None:
        """The anchor of this call on the execution's page, None for a call without an answer."""
        return None if self.row["id"] == self.row["execution_id"] else f"call-{self.row['id']}"

    @property
    def badges(self) -> list[str]:
        """The marks that are shown beside an answer."""
        output = self.row["output"] or {}
        return [name for name in ("refused", "simulated", "sanitised") if output.get(name)]

    @property
    def refused(self) -> bool:
        return "refused" in self.badges

    @property
    def text(self) -> str:
        """The beginning of the answer, else empty."""
        return str((self.row["output"] or {}).get("response") or "")

    @property
    def cut(self) -> bool:
        """Whether the answer is longer than `text`."""
        return int((self.row["output"] or {}).get("characters") or 0) > len(self.text)

    @property
    def shown(self) -> str:
        """The beginning of the answer, with an ellipsis where it goes on."""
        return f"{self.text} …" if self.cut else self.text

    @property
    def tries(self) -> int:
        """The number of tries when there was more than one, else 0."""
        again = int(self.row["retry_count"] or 0)
        return again + 1 if again else 0

    @property
    def code(self) -> str:
        """The error code of a failed call, else empty."""
        return str((self.row["error_detail"] or {}).get("code", "")) if self.state == "failed" else ""


@dataclass(frozen=True)
class Line:
    """One model under one question: a cell for each region, None where the model is not planned."""

    model: str
    cells: list[list[Call] | None]

    @property
    def calls(self) -> list[Call]:
        return [call for cell in self.cells for call in cell or ()]


@dataclass(frozen=True)
class Block:
    """One question with a line for each model. `number` is the question's place in the job, from 1."""

    id: str
    text: str
    lines: list[Line]
    number: int = 1

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of calls: all, done, completed, failed, refused."""
        calls = [call for line in self.lines for call in line.calls]
        return {
            "all": len(calls),
            "done": sum(call.state in ENDED for call in calls),
            "completed": sum(call.state == "completed" for call in calls),
            "failed": sum(call.state == "failed" for call in calls),
            "refused": sum(call.refused for call in calls),
        }

    @property
    def quiet(self) -> bool:
        """Whether every call has an answer and none of them is a refusal."""
        counts = self.counts
        return counts["completed"] == counts["all"] and not counts["refused"]

    @property
    def tag(self) -> str:
        """A hash of all that the block shows: a browser that has the block with this tag needs no new one."""
        shown = [
            (
                *(call.row.get(name) for name in ("id", "status", "retry_count", "duration_ms", "answered_ms")),
                *(call.retryable, call.code, call.text, call.badges),
            )
            for line in self.lines
            for call in line.calls
        ]
        return hashlib.sha256(repr((self.number, self.id, shown)).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def models_of(plan: Mapping[str, Sequence[str]]) -> list[str]:
    """Return every model of a plan once."""
    return list(dict.fromkeys(model for region in in_order(plan) for model in plan[region]))


def blocks(job: Row, questions: Sequence[Mapping[str, Any]], rows: Sequence[Row], finished: set[str]) -> list[Block]:
    """Return the grid of a job. `finished` are the regions that have ended."""
    plan = job["plan"]
    regions, models = in_order(plan), models_of(plan)
    failed = failed_units(rows, finished) if job["status"] != "cancelled" else set()
    calls: dict[tuple[str, str, str], list[Call]] = {}
    for row in sorted(rows, key=lambda row: int(row["run_no"])):
        unit = (row["region"], row["model_id"])
        call = Call(row, row["status"] == "failed" and unit in failed)
        calls.setdefault((row["question_id"], row["model_id"], row["region"]), []).append(call)
    return [
        Block(
            question["id"],
            question["text"],
            [Line(model, [calls.get((question["id"], model, region)) for region in regions]) for model in models],
            number,
        )
        for number, question in enumerate(questions, 1)
    ]


def only(found: Sequence[Block], what: str) -> list[Block]:
    """Return the blocks with the lines that have a call which failed or was refused; all if `what` is empty."""
    if not what:
        return list(found)
    kept = []
    for block in found:
        lines = [line for line in block.lines if any(_is(call, what) for call in line.calls)]
        if lines:
            kept.append(Block(block.id, block.text, lines, block.number))
    return kept


def failed_units(rows: Iterable[Row], finished: set[str]) -> set[tuple[str, str]]:
    """Return the (region, model) that a retry would run again: in ended regions, without a usable answer."""
    failed: set[tuple[str, str]] = set()
    usable: set[tuple[str, str]] = set()
    for row in rows:
        unit = (row["region"], row["model_id"])
        (usable if row["status"] == "completed" else failed if row["status"] == "failed" else set()).add(unit)
    return {unit for unit in failed - usable if unit[0] in finished}


def _is(call: Call, what: str) -> bool:
    return call.refused if what == "refused" else call.state == what
