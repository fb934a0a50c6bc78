"""The job as a grid: a line per model and question, a column per region, each cell its state."""

from typing import TYPE_CHECKING, Any

from runner_cli.snapshot import Snapshot
from runner_cli.terminal import clean, seconds

if TYPE_CHECKING:
    from rich.console import RenderableType
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


def grid(snapshot: Snapshot) -> "RenderableType":
    """The job's header and its grid, for rich."""
    from rich.console import Group
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("model")
    if questions := [question for question in snapshot.questions if question]:
        table.add_column("question", max_width=40, overflow="ellipsis", no_wrap=True)
    for region in snapshot.regions:
        table.add_column(region)
    for model in snapshot.models:
        for number, question in enumerate(snapshot.questions):
            cells = snapshot.cells(model, question)
            if cells:
                names = [clean(model) if number == 0 else ""] + ([clean(snapshot.title(question))] if questions else [])
                table.add_row(*names, *(cell(cells.get(region, [])) for region in snapshot.regions))
    return Group(header(snapshot), "", table)


def header(snapshot: Snapshot) -> "Text":
    """`job-1  running  4/12 units`, and how many answers where that is told."""
    from rich.text import Text

    progress = snapshot.job.get("progress") or {}
    done = sum(int(progress.get(name) or 0) for name in ("completed", "failed"))
    text = Text(clean(snapshot.id), style="bold")
    text.append(f"  {snapshot.verdict}", COLOURS.get(snapshot.verdict, ""))
    text.append(f"  {done}/{progress.get('total', '?')} units")
    if answers := progress.get("answers"):
        text.append(f", {answers.get('done')}/{answers.get('total')} answers")
    return text


def cell(rows: list[dict[str, Any]]) -> "Text":
    """The state of one question in one region: of all its runs where there are several."""
    from rich.text import Text

    if not rows:
        return Text("not planned", "dim")
    row = rows[0]
    status = str(row["status"])
    text = Text(f"{MARKS.get(status, '')} {status}" if len(rows) == 1 else runs(rows), COLOURS.get(status, ""))
    if took := seconds(row.get("duration_ms")):
        text.append(f" {took}", "dim")
    for badge in badges(row):
        text.append(f" [{badge}]", "cyan")
    return text


def runs(rows: list[dict[str, Any]]) -> str:
    """`2/3 completed`."""
    return f"{sum(row['status'] == 'completed' for row in rows)}/{len(rows)} completed"


def badges(row: dict[str, Any]) -> list[str]:
    """What must be seen beside an answer: that it is simulated, refused, repeated, or why it failed."""
    output = row.get("output") or {}
    found = [name for name in ("simulated", "refused", "sanitised") if output.get(name)]
    if retries := row.get("retry_count"):
        found.append("1 retry" if retries == 1 else f"{retries} retries")
    if row.get("status") == "failed":
        found.append(clean((row.get("error_detail") or {}).get("code") or "failed"))
    return found
