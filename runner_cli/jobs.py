"""`beacon jobs`: the list of jobs, newest first."""

import argparse
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runner_cli import client
from runner_cli.client import Api
from runner_cli.exits import Exit
from runner_cli.grid import COLOURS
from runner_cli.shapes import JOBS
from runner_cli.terminal import clean, remark, say_json, width
from runner_cli.terminal import show as draw
from runner_core.durations import duration
from runner_core.job_ids import short
from runner_core.statuses import JOB_STATES, in_order, verdict

if TYPE_CHECKING:
    from rich.text import Text

EXAMPLES = """\
examples:
  beacon jobs
  beacon jobs --status partial --limit 200
  beacon jobs --find nightly --since 24h --failures
  beacon jobs --json | jq -r '.jobs[].id'
"""
WIDEST = 40  # of a column: a longer id moves its own line only
OLD_SECONDS = 2 * 86400  # from here on a date says more than an age


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--status", choices=JOB_STATES, help="only jobs with this status")
    parser.add_argument("--find", metavar="TEXT", help="only jobs whose name or id begins so")
    parser.add_argument("--failures", action="store_true", help="only jobs with failed units")
    parser.add_argument("--model", help="only jobs that ask this model")
    parser.add_argument("--region", help="only jobs that run in this region")
    parser.add_argument("--submitter", help="only jobs of this key or token, by its name")
    parser.add_argument("--since", metavar="TIME", help="only jobs since a time, or since 90m, 24h or 7d ago")
    parser.add_argument("--limit", type=int, default=50, help="list at most this many [50]")
    parser.add_argument("--cursor", help="go on where the last page ended (its next_cursor)")
    client.add_arguments(parser)


def jobs(args: argparse.Namespace) -> int:
    """Print a page of jobs. Raises Unreachable, Refused."""
    wanted = {name: getattr(args, name) for name in ("model", "region", "submitter", "since")}
    # The status is the shown one, as on the pages: a job whose line says `partial` is no completed one.
    wanted |= {"state": args.status, "q": args.find, "failures": "1" if args.failures else None}
    page = Api.of(args).get("/api/v1/jobs", JOBS, limit=args.limit, cursor=args.cursor, **wanted)
    if args.json:
        say_json(page)
        return Exit.OK
    if not page["jobs"]:
        if page.get("next_cursor"):
            remark("none of the newest jobs matches; older ones may")
        elif any(wanted.values()):
            remark("no job matches")
        else:
            remark("no jobs; `beacon submit FILE` sends one")
    else:
        show(page["jobs"])
    if page.get("next_cursor"):
        remark(f"more: beacon jobs {_options(args)}--cursor {clean(page['next_cursor'])}")
    return Exit.OK


def _options(args: argparse.Namespace) -> str:
    """Return the filters of this command as they are typed."""
    named = {"status", "find", "model", "region", "submitter", "since"}
    given = [f"--{name} {shlex.quote(value)} " for name in sorted(named) if (value := getattr(args, name))]
    return "".join(given) + ("--failures " if args.failures else "")


def show(found: list[dict[str, Any]]) -> None:
    """Print the list: a line for each job, two where one would be too long for the terminal."""
    from rich.console import Group

    columns = width()
    draw(Group(*listing([cells(job, datetime.now(UTC), aged=columns is not None) for job in found], columns)))


def cells(job: dict[str, Any], now: datetime, *, aged: bool) -> list[str]:
    """What is told of a job: id, state, age (or time of its submission), name, regions, models.

    For a terminal (`aged`) the id is short: commands take the beginning of an id.
    """
    created = datetime.fromisoformat(job["created_at"])
    passed = max(0, int((now - created).total_seconds()))
    age = f"{duration(passed * 1000)} ago" if passed < OLD_SECONDS else f"{created:%Y-%m-%d}"
    return [
        clean(short(job["id"]) if aged else job["id"]),
        clean(verdict(job["status"], job.get("cross_region_status"), job.get("failed_units"))),
        age if aged else str(job["created_at"])[:19].replace("T", " "),
        clean(" ".join(str(job.get("name") or "").split()) or "-"),
        clean(" ".join(in_order(job["regions"]))),
        clean(", ".join(job["models"])),
    ]


def listing(rows: list[list[str]], columns: int | None) -> "Iterator[Text]":
    """The list's lines. Nothing is cut: what does not fit stands below its id, broken between words."""
    from rich.cells import cell_len
    from rich.text import Text

    from runner_cli.columns import padded, wrapped

    widths = [min(WIDEST, max(map(cell_len, column))) for column in zip(*rows, strict=True)]
    widths[1] = max(map(len, JOB_STATES))
    for row in rows:
        name, status, *rest = [padded(text, cells) for text, cells in zip(row, widths, strict=True)]
        line = Text(f"{name}  ", no_wrap=True, overflow="ignore")
        line.append(status, COLOURS.get(row[1], "")).append(f"  {'  '.join(rest)}".rstrip())
        if columns is None or line.cell_len <= columns:
            yield line
            continue
        yield Text(row[0], overflow="fold")
        told = wrapped(
            "  ".join(part.replace(" ", "\xa0") for part in row[1:3]) + f"  {'  '.join(row[3:])}", columns - 2
        )
        for text in told:
            below = Text(f"  {text}".replace("\xa0", " "), no_wrap=True, overflow="ignore")
            if text is told[0]:
                below.stylize(COLOURS.get(row[1], ""), 2, 2 + len(row[1]))
            yield below
