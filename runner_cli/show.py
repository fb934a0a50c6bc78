"""`beacon show`: one job, its rows and its regions."""

import argparse
import json

from runner_cli import client
from runner_cli.client import Api
from runner_cli.comparison import answer
from runner_cli.exits import Exit
from runner_cli.failed import failed_lines, failed_rows
from runner_cli.grid import MOST_LINES, grid, header
from runner_cli.provenance import LABEL, call_lines, change_lines, served_line
from runner_cli.shapes import EVENTS
from runner_cli.snapshot import Snapshot, look
from runner_cli.terminal import clean, remark, say, say_json, say_wrapped, width
from runner_cli.terminal import show as draw
from runner_core.durations import duration
from runner_core.served import identities

EXAMPLES = """\
examples:
  beacon show job-1
  beacon show job-1 --failed              # what failed and where, a block for each cause
  beacon show job-1 --answers             # with every answer's text, who answered, and the parameters as sent
  beacon show job-1 --events              # what happened, in order
  beacon show job-1 --json | jq .cross_region
"""

FOLDED = "; --thoughts prints them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help="the job's id")
    parser.add_argument("--all", action="store_true", help="every call of a job that has many")
    parser.add_argument("--failed", action="store_true", help="only the calls that failed, by cause")
    parser.add_argument("--answers", action="store_true", help="print the answers and who answered, too")
    parser.add_argument("--thoughts", action="store_true", help="print the answers with the models' thoughts")
    parser.add_argument("--events", action="store_true", help="print the timeline too")
    client.add_arguments(parser)


def show(args: argparse.Namespace) -> int:
    """Print the job. Raises Unreachable, Refused (not_found)."""
    api = Api.of(args)
    found = look(api, args.job)
    if args.failed:
        return show_failed(found, as_json=args.json)
    events = api.job(args.job, EVENTS, "/events", limit=10_000)["events"] if args.events else []
    if args.json:
        say_json(found.job | ({"events": events} if args.events else {}))
        return Exit.OK
    most = None if args.all else MOST_LINES
    draw(grid(found, width(), most))
    say_wrapped("", *times(found), *regions(found), *served(found, most), *change_lines(found.rows), indent=10)
    if args.answers or args.thoughts:
        say_wrapped("", *answers(found, thoughts=args.thoughts), indent=LABEL + 1)
    if args.events:
        say("", *(clean(event_line(event)) for event in events))
    return Exit.OK


def show_failed(found: Snapshot, *, as_json: bool) -> Exit:
    """Print the failed calls alone."""
    if as_json:
        say_json({**found.job, "executions": failed_rows(found)})
        return Exit.OK
    draw(header(found))
    say_wrapped("", *(failed_lines(found)), indent=4)
    if not failed_rows(found):
        remark("no call failed")
    return Exit.OK


def times(found: Snapshot) -> list[str]:
    names = ("created_at", "started_at", "completed_at")
    return [f"{name[:-3]:<9} {str(found.job[name])[:19]}" for name in names if found.job.get(name)]


def regions(found: Snapshot) -> list[str]:
    """How many regions succeeded, how many had to."""
    across = found.job.get("cross_region") or {}
    if not across:
        return []
    return [
        f"regions   {across.get('success_count')} of {across.get('total_regions')} succeeded, "
        f"{across.get('min_regions_required')} required, rate {across.get('min_success_rate')}: "
        f"{clean(across.get('status'))}",
        f"took      {duration(across.get('duration_ms'))}" if across.get("duration_ms") is not None else "",
    ]


def served(found: Snapshot, most: int | None) -> list[str]:
    """Return a line for each model and region whose provider says who answered: at most `most` if given."""
    lines = []
    for model in found.models:
        for region in found.regions:
            rows = [row for row in found.rows if (row["model_id"], row["region"]) == (model, region)]
            told = [served_line(one) for one in identities(row.get("served") for row in rows)]
            lines += [clean(f"served    {model} in {region}: {'; '.join(told)}")] if told else []
    if most is None or len(lines) <= most:
        return lines
    return [*lines[:most], f"served    {len(lines) - most} more: --all has them"]


def answers(found: Snapshot, *, thoughts: bool = False) -> list[str]:
    """Return the lines of every call: its answer, then who answered and what was sent."""
    lines = []
    for row in found.rows:
        asked = f" {row['question_id']}" if row.get("question_id") else ""
        run = f" run {row['run_no']}" if row.get("run_no") else ""
        lines.append(clean(f"--- {row['region']} {row['model_id']}{asked}{run}"))
        lines += [answer(row), *call_lines(row, thoughts=thoughts, folded=FOLDED), ""]
    return lines


def event_line(event: dict[str, object]) -> str:
    """`12  2026-11-24 07:30:01.123  region_claimed  US  {...}`."""
    at = str(event.get("at") or event.get("created_at"))[:23].replace("T", " ")
    where = " ".join(str(event[name]) for name in ("region", "model_id") if event.get(name))
    return f"{event.get('seq'):>4}  {at}  {event.get('type'):<18} {where:<20} {json.dumps(event.get('detail'))}"
