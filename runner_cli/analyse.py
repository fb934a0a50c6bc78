"""`beacon analyse`: what the comparison of a job's regions says, and whether it can be computed again."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from runner_cli import client
from runner_cli.analysed import Analysed, read_analysis, wait_for_analysis
from runner_cli.analysis_text import lines
from runner_cli.client import Api
from runner_cli.exits import CommandError, Exit
from runner_cli.exported import read_both, read_tables
from runner_cli.snapshot import TimedOut, follow
from runner_cli.terminal import clean, page, remark, say_json, width
from runner_cli.watch import add_waiting
from runner_core.method_page import PAGE, SCRIPT, method_file

EXAMPLES = """\
Exits with 1 while there is no comparison, and says why. --check computes all of it again on this machine, from the
job's export, and exits with 1 where one number is different. --export writes what a stranger needs to do the same
without Beacon Runner: the export, the comparison, both as CSV for spreadsheets too, the method's page and a script
that needs Python alone.

examples:
  beacon analyse job-1
  beacon analyse job-1 --wait                    # until the job has ended and is compared
  beacon analyse job-1 --check
  beacon analyse job-1 --export job-1-files
  beacon analyse job-1 --json | jq -r .headline.text
"""
MOST_DIFFERENCES = 20  # lines


class NotCompared(CommandError):
    """There is no comparison of the job's regions."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help="the job's id")
    parser.add_argument("--check", action="store_true", help="compute it again here, and exit 1 on any difference")
    parser.add_argument("--export", metavar="DIR", type=Path, help="write all that is needed to compute it elsewhere")
    parser.add_argument("--wait", action="store_true", help="wait until the job has ended and is compared")
    add_waiting(parser)
    client.add_arguments(parser)


def analyse(args: argparse.Namespace) -> int:
    """Print the comparison. Raises Unreachable, Refused, TimedOut, NotCompared, NotComparable; OSError of a file."""
    api = Api.of(args, patience=args.patience if args.wait else 0.0)
    if args.wait:
        wait(api, args)
    export: dict[str, Any] = {}
    tables: dict[str, bytes] = {}
    if args.export:
        export, found, tables = read_tables(api, args.job)
    elif args.check:
        export, found = read_both(api, args.job)
    else:
        found = read_analysis(api, args.job)
    if args.json:
        say_json(found.document)
    elif found.is_ready:
        page(*lines(found, width()))
    if args.export:
        write(args.export, export, found, tables)
    if not found.is_ready:
        raise NotCompared(found.sentence)
    return check(export, found) if args.check else Exit.OK


def wait(api: Api, args: argparse.Namespace) -> None:
    """Wait until the job has ended and is compared, at most for --timeout. Raises TimedOut, Unreachable, Refused."""
    began = time.monotonic()
    for _ in follow(api, args.job, timeout=args.timeout):
        pass
    left = None if args.timeout is None else max(0.0, args.timeout - (time.monotonic() - began))
    found = wait_for_analysis(api, args.job, left)
    if found.state == "pending":
        raise TimedOut(f"job {args.job} is not compared within {args.timeout:.0f} s: {found.sentence}")


def check(export: dict[str, Any], found: Analysed) -> Exit:
    """Compute the comparison here, and say on stderr whether everything is equal. Raises NotComparable."""
    from runner_cli.recomputed import differences  # numpy, which no other command waits for

    apart = differences(export, found.document)
    if apart:
        remark(f"Computed again here, {len(apart)} places are different:")
        remark(*(clean(f"  {line}") for line in apart[:MOST_DIFFERENCES]))
        if len(apart) > MOST_DIFFERENCES:
            remark(f"  ... {len(apart) - MOST_DIFFERENCES} more")
        return Exit.FAILED
    remark("Computed again here from the job's export: everything is equal.")
    return Exit.OK


def write(folder: Path, export: dict[str, Any], found: Analysed, tables: dict[str, bytes]) -> None:
    """Write the export, the comparison, their tables, the method's page and the script into the folder.

    The folder is made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    documents = {"compare.json": export, "analysis.json": found.document}
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1), encoding="utf-8")
    for name, table in tables.items():
        (folder / name).write_bytes(table)
    for name in (PAGE, SCRIPT):
        (folder / name).write_bytes(method_file(name).read_bytes())
    remark(clean(f"{folder} holds {', '.join([*documents, *tables, PAGE, SCRIPT])}."))
    if found.is_ready:
        said = f"python {folder / SCRIPT} {folder / 'compare.json'} {folder / 'analysis.json'}"
        remark(clean(f"Compute it again with: {said}"))
