"""A job's answers side by side: a block per question and model, a column per region; below each other where narrow."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from runner_cli.analysis_text import verdict
from runner_cli.columns import padded, wrapped
from runner_cli.grid import badges
from runner_cli.snapshot import Snapshot
from runner_cli.terminal import clean
from runner_core.durations import duration, speed_ms

NARROWEST = 24  # of a region's column
NARROW = 78  # regions stand below each other in less than this
FOLDED_LINES = 12  # of an answer, unless all of it is asked for


def side_by_side(
    snapshot: Snapshot,
    width: int,
    models: Sequence[str] | None = None,
    questions: Sequence[str] | None = None,
    *,
    most: int | None = None,
    different: bool = False,
    verdicts: Mapping[tuple[str, str], str] = MappingProxyType({}),
) -> list[str]:
    """The lines of the comparison, at most `width` cells wide, of each answer at most `most` lines.

    With `different`, only what is not answered alike in all of its regions. `verdicts` of models and questions stand
    beside the models' names."""
    regions = snapshot.regions
    column = (width - 3 * (len(regions) - 1)) // max(1, len(regions))
    if width < NARROW or column < NARROWEST:
        column = 0
    lines: list[str] = []
    for question in snapshot.questions if questions is None else questions:
        blocks: list[str] = []
        for model in snapshot.models if models is None else models:
            cells = snapshot.cells(model, question)
            if cells and not (different and alike(cells)):
                told = block(cells, regions, column, most) if column else stacked(cells, regions, width, most)
                judged = f": {verdict(verdicts[model, question])}" if (model, question) in verdicts else ""
                blocks += [clean(f"{model}{judged}"), *told, ""]
        if blocks:
            title = wrapped(clean(snapshot.title(question) or "(the job's prompt)"), width)
            lines += [*title, "=" * min(width, column * len(regions) or width), *blocks]
    return lines


def alike(cells: dict[str, list[dict[str, Any]]]) -> bool:
    """Whether every region gave the same answers, white space aside."""
    told = [[" ".join(answer(row).split()) for row in rows] for rows in cells.values()]
    return all(answers == told[0] for answers in told)


def block(cells: dict[str, list[dict[str, Any]]], regions: list[str], column: int, most: int | None) -> list[str]:
    """Return the lines for one question of one model: region names, badges, texts."""
    columns = [told(region, cells.get(region, []), column, most) for region in regions]
    joined = (" | ".join(padded(part, column) for part in parts) for parts in zip_longest(*columns, fillvalue=""))
    return [text.rstrip() for text in joined]


def stacked(cells: dict[str, list[dict[str, Any]]], regions: list[str], width: int, most: int | None) -> list[str]:
    """Return the same lines with the regions below each other."""
    lines: list[str] = []
    for region in regions:
        first, *rest = told(region, cells.get(region, []), width - 2, most)
        lines += [first, *(f"  {line}" for line in rest)]
    return lines


def told(region: str, rows: list[dict[str, Any]], column: int, most: int | None) -> list[str]:
    """Return the lines of one region: badges and text of every run."""
    lines = []
    for row in rows:
        run = f" run {row['run_no']}" if len(rows) > 1 else ""
        lines += wrapped(clean(f"{region}{run}  {' '.join(f'[{badge}]' for badge in badges(row))}".rstrip()), column)
        lines += folded(wrapped(answer(row), column), most)
        lines += wrapped(clean(f"({duration(speed_ms(row)) or row['status']})"), column)
    return lines or [clean(region), "(not planned)"]


def folded(lines: list[str], most: int | None) -> list[str]:
    """Return the first lines, up to this many, and a line that counts the rest."""
    if most is None or len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"... {len(lines) - most + 1} more lines: --full"]


def answer(row: dict[str, Any]) -> str:
    """The text of an answer, the error in its place, or the state. An answer that a filter blocked has no text."""
    output = row.get("output") or {}
    response = output.get("response")
    if not response and output.get("filter"):
        return clean(f"(blocked by the provider's filter: {output.get('filter_words') or 'no reason given'})")
    return clean(response if response is not None else row.get("error") or f"({row['status']})")
