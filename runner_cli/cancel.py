"""`beacon cancel`: end a job now."""

import argparse

from runner_cli import action
from runner_cli.exits import Exit
from runner_cli.shapes import CANCELLED
from runner_cli.terminal import clean, say, say_json

EXAMPLES = """\
Stored results stay; every other unit is cancelled. A job that has ended can't be cancelled (exit 5).

examples:
  BEACON_TOKEN=... beacon cancel job-1
  beacon cancel job-1 --key signing.pem
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action.add_arguments(parser)


def cancel(args: argparse.Namespace) -> int:
    """Cancel the job. Raises UsageError, Unreachable, Refused."""
    done = action.act(args, "cancel", CANCELLED)
    if args.json:
        say_json(done)
    else:
        say(clean(f"{done['job_id']} was {done['previous_status']} and is cancelled"))
        say(f"{done['executions_cancelled']} units ended without a result")
    return Exit.OK
