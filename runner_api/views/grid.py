"""Arrange a job's calls as a grid: a block for each question, a line for each model, a cell for each region."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner_api.views import Row
from runner_core.statuses import in_order


@dataclass(frozen=True)
class Call:
    """One run of one question in one region. `row` is a row of the statement reads.rows."""

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


@dataclass(frozen=True)
class Block:
    """One question with a line for each model."""

    id: str
    text: str
    lines: list[Line]


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
        )
        for question in questions
    ]


def failed_units(rows: Iterable[Row], finished: set[str]) -> set[tuple[str, str]]:
    """Return the (region, model) that a retry would run again: in ended regions, without a usable answer."""
    failed: set[tuple[str, str]] = set()
    usable: set[tuple[str, str]] = set()
    for row in rows:
        unit = (row["region"], row["model_id"])
        (usable if row["status"] == "completed" else failed if row["status"] == "failed" else set()).add(unit)
    return {unit for unit in failed - usable if unit[0] in finished}
