"""`beacon watch`: a job live until it ends."""

import argparse
import re
import sys
from collections import deque
from collections.abc import Callable
from textwrap import shorten
from typing import Any

from runner_cli import client
from runner_cli.client import Api
from runner_cli.exits import Exit
from runner_cli.grid import MOST_LINES, badges, grid
from runner_cli.snapshot import Snapshot, follow
from runner_cli.terminal import clean, console, remark, say, say_json, width
from runner_core.durations import duration as took
from runner_core.durations import speed_ms

EXAMPLES = """\
Shows a grid that fills on a terminal, and a line for each result elsewhere. Ctrl-C stops watching, not the job.

examples:
  beacon watch job-1
  beacon watch job-1 --timeout 10m || echo "exit code $?"      # 3: it failed, 4: cancelled, 7: not yet
"""
# Answers of an unfinished model do not change the job: they are looked for this often.
LIVE_SECONDS = 1.0
HEADER_LINES = 6  # the job's line, the regions' names, and what stands around them
ENDS = {"completed": Exit.OK, "failed": Exit.JOB_FAILED, "cancelled": Exit.JOB_CANCELLED}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help="the job's id")
    add_waiting(parser)
    client.add_arguments(parser)


def add_waiting(parser: argparse.ArgumentParser) -> None:
    """Add --timeout and --patience to a command that waits for a job."""
    parser.add_argument("--timeout", type=duration, metavar="TIME", help="stop watching after this time: 90s, 15m, 2h")
    parser.add_argument(
        "--patience",
        type=duration,
        default=30.0,
        metavar="TIME",
        help="how long to keep asking an API that does not answer [30s]",
    )


def watch(args: argparse.Namespace) -> int:
    """Follow the job; the exit code says how the job ended. Raises Unreachable, Refused, TimedOut."""
    return wait_for(Api.of(args, patience=args.patience), args.job, args)


def wait_for(api: Api, job_id: str, args: argparse.Namespace) -> Exit:
    """Show progress until the job has ended, then print it (as JSON with --json)."""
    if args.json:
        last = deque(follow(api, job_id, timeout=args.timeout), maxlen=1).pop()
    elif sys.stdout.isatty():
        last = show_live(api, job_id, args.timeout)
    else:
        last = show_lines(api, job_id, args.timeout)
    if args.json:
        say_json(last.job)
    else:
        remark(clean(f"job {job_id} {last.verdict}"))
    return ENDS[last.status]


def show_live(api: Api, job_id: str, timeout: float | None = None) -> Snapshot:
    """The grid, redrawn in place; it stays on the screen when the job has ended."""
    from rich.live import Live

    snapshots = follow(api, job_id, every=LIVE_SECONDS, timeout=timeout)
    last = next(snapshots)
    screen = console()
    # A live display that is higher than the screen would show its beginning only.
    most = min(MOST_LINES, max(1, screen.height - HEADER_LINES))
    with Live(grid(last, width(), most), console=screen, refresh_per_second=4) as live:
        for last in snapshots:
            live.update(grid(last, width(), most))
    return last


def show_lines(api: Api, job_id: str, timeout: float | None = None, out: Callable[[str], None] = say) -> Snapshot:
    """A line for every row that has ended since the last look."""
    seen: set[tuple[Any, ...]] = set()
    for last in follow(api, job_id, every=LIVE_SECONDS, timeout=timeout):
        done = [row for row in last.rows if row["status"] not in ("pending", "running")]
        fresh = [row for row in done if _key(row) not in seen]
        for row in sorted(fresh, key=lambda row: str(row.get("completed_at"))):
            seen.add(_key(row))
            out(f"[{len(seen)}/{len(last.rows)}] {line(row, last.title(row.get('question_id') or ''))}")
    return last


def line(row: dict[str, Any], question: str) -> str:
    """`US  smollm2-135m  math_basic  completed  1.2 s  [refused]`."""
    parts = [row["region"], row["model_id"], shorten(question, 60, placeholder=" ..."), row["status"]]
    parts += [took(speed_ms(row)), *(f"[{badge}]" for badge in badges(row))]
    return "  ".join(clean(part) for part in parts if part)


def duration(text: str) -> float:
    """Seconds from `90`, `90s`, `15m` or `2h`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: write 90s, 15m or 2h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["region"], row["model_id"], row.get("question_id"), row.get("run_no"), row.get("id")
