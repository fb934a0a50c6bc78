"""The job as a grid: a line per model and question, a column per region, each cell its state.

Where it is too wide for the terminal its cells are written shortly, then its regions below each other; where it has
too many lines it is told in counts, with what failed.
"""

from typing import TYPE_CHECKING, Any

from runner_cli.snapshot import Snapshot
from runner_cli.terminal import clean
from runner_core.durations import duration, speed_ms

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

COLOURS = {
    "pending": "dim",
    "running": "yellow",
    "queued": "dim",
    "completed": "green",
    "partial": "yellow",
    "failed": "red",
    "cancelled": "magenta",
}
MARKS = {"pending": "·", "running": "…", "completed": "✓", "failed": "✗", "cancelled": "-"}
SHORT = {"simulated": "sim", "refused": "ref", "sanitised": "san"}
MOST_LINES = 40  # of a grid; beyond it is told in counts
MOST_FAILURES = 10  # told one by one beside counts
NARROWEST_QUESTION = 12


def grid(snapshot: Snapshot, width: int | None, most: int | None = MOST_LINES) -> "RenderableType":
    """The job's header and its grid, for rich, in at most `width` columns and `most` lines where they are given."""
    from rich.console import Group

    lines = [
        (model, question, cells)
        for model in snapshot.models
        for question in snapshot.questions
        if (cells := snapshot.cells(model, question))
    ]
    if most is not None and len(lines) > most:
        return Group(header(snapshot), "", *counted(snapshot, width, min(MOST_FAILURES, most)))
    for short in (False, True):
        table = tabled(snapshot, lines, short, width)
        if width is None or (table is not None and _width(table) <= width):
            return Group(header(snapshot), "", table or "")
    return Group(header(snapshot), *stacked(snapshot, lines))


def tabled(snapshot: Snapshot, lines: list[Any], short: bool, width: int | None) -> "Table | None":
    """The grid as a table; None where that leaves the questions too little room."""
    from runner_cli.columns import shortened

    asked = any(snapshot.questions)
    table = _table("model", *(["question"] if asked else []), *snapshot.regions)
    room = None
    if asked and short and width is not None:
        rest = tabled(snapshot, [(model, "", cells) for model, _, cells in lines], short, None)
        room = width - (_width(rest) if rest else 0) + len("question")
        if room < NARROWEST_QUESTION:
            return None
    above = None
    for model, question, cells in lines:
        title = [clean(snapshot.title(question)) if room is None else shortened(clean(snapshot.title(question)), room)]
        names = [clean(model) if model != above else "", *(title if asked else [])]
        table.add_row(*names, *(cell(cells.get(region, []), short) for region in snapshot.regions))
        above = model
    return table


def stacked(snapshot: Snapshot, lines: list[Any]) -> "list[RenderableType]":
    """The grid with its regions below each other."""
    from rich.text import Text

    told: list[RenderableType] = []
    for model, question, cells in lines:
        told += ["", Text(clean(model), overflow="fold")]
        if question:
            told.append(Text(clean(snapshot.title(question)), overflow="fold"))
        told += [Text(f"  {region}  ").append_text(cell(cells.get(region, []), True)) for region in snapshot.regions]
    return told


def counted(snapshot: Snapshot, width: int | None, most_failures: int) -> "list[RenderableType]":
    """A line per model with the number of calls in each state, and what failed."""
    from rich.text import Text

    table = _table("model", *snapshot.regions)
    for model in snapshot.models:
        counts = []
        for region in snapshot.regions:
            states = [r["status"] for r in snapshot.rows if r["model_id"] == model and r["region"] == region]
            found = Text()
            for status, mark in MARKS.items():
                if number := states.count(status):
                    found.append(f"{mark}\xa0{number} ", COLOURS.get(status, ""))
            counts.append(found)
        table.add_row(clean(model), *counts)
    failed = [row for row in snapshot.rows if row["status"] == "failed"]
    told: list[RenderableType] = [table, ""]
    for row in failed[:most_failures]:
        title = snapshot.title(row.get("question_id") or "")
        text = "  ".join(
            part for part in (row["region"], row["model_id"], " ".join(title.split()), *badges(row)) if part
        )
        told.append(Text(clean(text), no_wrap=width is None, overflow="ignore" if width is None else "fold"))
    if len(failed) > most_failures:
        told.append(f"and {len(failed) - most_failures} more that failed")
    told.append(
        f"{len(snapshot.rows)} calls; `beacon show --all` has each of them"
        + (", `--failed` those that failed" if failed else "")
    )
    return told


def header(snapshot: Snapshot) -> "Text":
    """`job-1  nightly  running  4/12 units`, how many of them failed, and how many answers where that is told."""
    from rich.text import Text

    progress = snapshot.job.get("progress") or {}
    done = sum(int(progress.get(name) or 0) for name in ("completed", "failed"))
    text = Text(clean(snapshot.id), style="bold", overflow="fold")
    if snapshot.name:
        text.append(f"  {clean(' '.join(snapshot.name.split()))}", "bold")
    text.append(f"  {clean(snapshot.verdict)}", COLOURS.get(snapshot.verdict, ""))
    text.append(f"  {done}/{progress.get('total', '?')} units")
    if snapshot.failed_units:
        text.append(f", {snapshot.failed_units} failed", COLOURS["failed"])
    if answers := progress.get("answers"):
        text.append(f", {answers.get('done')}/{answers.get('total')} answers")
    return text


def cell(rows: list[dict[str, Any]], short: bool = False) -> "Text":
    """The state of one question in one region: of all its runs where there are several."""
    from rich.text import Text

    if not rows:
        return Text("not\xa0planned", "dim")
    row = rows[0]
    status = clean(row["status"])
    word = MARKS.get(status, status) if short else f"{MARKS.get(status, '')}\xa0{status}"
    text = Text(word if len(rows) == 1 else runs(rows), COLOURS.get(status, ""))
    if took := duration(speed_ms(row)).replace(" ", "\xa0"):
        text.append(f" {took}", "dim")
    for badge in badges(row):
        text.append(f" {SHORT.get(badge, badge)}" if short else f" [{badge}]", "cyan")
    return text


def runs(rows: list[dict[str, Any]]) -> str:
    """`2/3 completed`."""
    return f"{sum(row['status'] == 'completed' for row in rows)}/{len(rows)}\xa0completed"


def badges(row: dict[str, Any]) -> list[str]:
    """What must be seen beside an answer: that it is simulated, refused, repeated, or why it failed."""
    output = row.get("output") or {}
    found = [name for name in ("simulated", "refused", "sanitised") if output.get(name)]
    if retries := row.get("retry_count"):
        found.append(f"{retries + 1} tries")
    if row.get("status") == "failed":
        found.append(clean((row.get("error_detail") or {}).get("code") or "failed"))
    return found


def _table(*columns: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True)
    return table


def _width(table: "Table") -> int:
    """How wide it is when nothing is cut."""
    from rich.console import Console

    wide = Console(width=10_000)
    return wide.measure(table).maximum
