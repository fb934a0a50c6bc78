"""`beacon explain`: why a job is not done, a line for each cause."""

import argparse
from datetime import UTC, datetime

from runner_cli import client
from runner_cli.client import Api
from runner_cli.exits import Exit
from runner_cli.shapes import EVENTS
from runner_cli.snapshot import look
from runner_cli.story import Story
from runner_cli.terminal import clean, say_json, say_wrapped

EXAMPLES = """\
The API gives the reasons, because it knows the queues and the live processes; the job's page shows them too.

examples:
  beacon explain job-1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help="the job's id")
    client.add_arguments(parser)


def explain(args: argparse.Namespace) -> int:
    """Print why the job is not done, or how it ended. Raises Unreachable, Refused (not_found)."""
    api = Api.of(args)
    found = look(api, args.job)
    events = api.job(args.job, EVENTS, "/events", limit=10_000)["events"]
    lines = Story(found, events, datetime.now(UTC)).lines()
    if args.json:
        say_json({"job_id": found.id, "status": found.verdict, "explanation": " ".join(lines)})
    else:
        say_wrapped(*map(clean, lines), indent=2)
    return Exit.OK
