"""Lead from one unit of a job to the others: the units before and after it, and the same call in other regions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner_api.views import Row
from runner_api.views.grid import models_of
from runner_core.statuses import in_order


@dataclass(frozen=True)
class Unit:
    """An ended unit: one model in one region. `id` is its execution's."""

    id: int
    region: str
    model: str


def around(plan: Mapping[str, Sequence[str]], ended: Iterable[Row], region: str, model: str) -> list[Unit | None]:
    """Return the ended units before and after one, in the order of the grid: by model, then by region."""
    ids = {(row["region"], row["model_id"]): row["id"] for row in ended}
    order = [(place, name) for name in models_of(plan) for place in in_order(plan) if name in plan[place]]
    units = [Unit(ids[unit], *unit) for unit in order if unit in ids]
    at = next((n for n, unit in enumerate(units) if (unit.region, unit.model) == (region, model)), None)
    if at is None:
        return [None, None]
    return [units[at - 1] if at else None, units[at + 1] if at + 1 < len(units) else None]


def elsewhere(calls: Iterable[Row], region: str) -> dict[tuple[str, int], list[Row]]:
    """Return the calls of other regions by question and run, in the order of the regions."""
    rows = [row for row in calls if row["region"] != region]
    order = in_order({row["region"] for row in rows})
    found: dict[tuple[str, int], list[Row]] = {}
    for row in sorted(rows, key=lambda row: order.index(row["region"])):
        found.setdefault((row["question_id"], row["run_no"]), []).append(row)
    return found
