"""A job's answers side by side: a block per question and model, a column per region."""

import textwrap
from itertools import zip_longest
from typing import Any

from runner_cli.grid import badges
from runner_cli.snapshot import Snapshot
from runner_cli.terminal import clean, seconds

NARROWEST = 24


def side_by_side(snapshot: Snapshot, width: int, models: list[str] | None = None) -> list[str]:
    """The lines of the comparison, at most `width` wide where that leaves each region 24 columns."""
    regions = snapshot.regions
    column = max(NARROWEST, (width - 3 * (len(regions) - 1)) // max(1, len(regions)))
    lines: list[str] = []
    for question in snapshot.questions:
        lines += [
            *fold(clean(snapshot.title(question) or "(the job's prompt)"), width),
            "=" * min(width, column * len(regions)),
        ]
        for model in models or snapshot.models:
            cells = snapshot.cells(model, question)
            if cells:
                lines += [clean(model), *block(cells, regions, column), ""]
    return lines


def block(cells: dict[str, list[dict[str, Any]]], regions: list[str], column: int) -> list[str]:
    """One question of one model: the regions' names, the badges, the texts."""
    columns = [wrapped(region, cells.get(region, []), column) for region in regions]
    joined = (" | ".join(f"{part:<{column}}" for part in parts) for parts in zip_longest(*columns, fillvalue=""))
    return [text.rstrip() for text in joined]


def wrapped(region: str, rows: list[dict[str, Any]], column: int) -> list[str]:
    """One region's column: every run's badges and text."""
    lines = []
    for row in rows:
        run = f" run {row['run_no']}" if len(rows) > 1 else ""
        lines += textwrap.wrap(f"{region}{run}  {' '.join(f'[{badge}]' for badge in badges(row))}".rstrip(), column)
        lines += [*fold(answer(row), column), *fold(f"({seconds(row.get('duration_ms')) or row['status']})", column)]
    return lines or [region, "(not planned)"]


def answer(row: dict[str, Any]) -> str:
    """The text of an answer, the error in its place, or the state."""
    response = (row.get("output") or {}).get("response")
    return clean(response if response is not None else row.get("error") or f"({row['status']})")


def fold(text: str, column: int) -> list[str]:
    return [part for line in text.splitlines() for part in textwrap.wrap(line, column) or [""]]
