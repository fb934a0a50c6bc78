"""`beacon jobs`: the list of jobs, newest first."""

import argparse
from typing import Any

from runner_cli import client
from runner_cli.client import Api
from runner_cli.exits import Exit
from runner_cli.grid import COLOURS
from runner_cli.shapes import JOBS
from runner_cli.terminal import clean, console, remark, say_json

EXAMPLES = """\
examples:
  beacon jobs
  beacon jobs --status failed --limit 200
  beacon jobs --json | jq -r '.jobs[].id'
"""
STATUSES = ("queued", "running", "completed", "failed", "cancelled")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--status", choices=STATUSES, help="only these")
    parser.add_argument("--limit", type=int, default=50, help="how many [50]")
    parser.add_argument("--cursor", help="go on where the last page ended (its next_cursor)")
    client.add_arguments(parser)


def jobs(args: argparse.Namespace) -> int:
    """Raises Unreachable, Refused."""
    page = Api.of(args).get("/api/v1/jobs", JOBS, limit=args.limit, status=args.status, cursor=args.cursor)
    if args.json:
        say_json(page)
        return Exit.OK
    if not page["jobs"]:
        remark("no jobs" + (f" with status {args.status}" if args.status else "") + "; `beacon submit FILE` sends one")
        return Exit.OK
    show(page["jobs"])
    if page.get("next_cursor"):
        remark(f"more: beacon jobs --cursor {page['next_cursor']}")
    return Exit.OK


def show(found: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("id", "status", "created", "regions"):
        table.add_column(name, no_wrap=True)
    table.add_column("models", overflow="fold")
    for job in found:
        table.add_row(
            Text(clean(job["id"])),
            Text(job["status"], COLOURS.get(job["status"], "")),
            str(job["created_at"])[:19].replace("T", " "),
            " ".join(job["regions"]),
            Text(clean(", ".join(map(str, job["models"])))),
        )
    console(piped_width=200).print(table)
