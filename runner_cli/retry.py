"""`beacon retry`: run what failed once more."""

import argparse

from runner_cli import action
from runner_cli.client import Api
from runner_cli.exits import Exit
from runner_cli.shapes import RETRIED
from runner_cli.terminal import clean, remark, say, say_json
from runner_cli.watch import add_waiting, wait_for

EXAMPLES = """\
Only failed units run again; their earlier results are kept in the job's events. What completed is never touched.

examples:
  BEACON_TOKEN=... beacon retry job-1
  beacon retry job-1 --region EU --model llama3.2-1b --key signing.pem --wait
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action.add_arguments(parser)
    parser.add_argument("--region", help="this region only")
    parser.add_argument("--model", help="this model only")
    parser.add_argument("--question", help="this question only (its id)")
    parser.add_argument("--wait", action="store_true", help="follow the job until it ends")
    add_waiting(parser)


def retry(args: argparse.Namespace) -> int:
    """Retry the job. Raises UsageError, Unreachable, Refused; with --wait also what watch raises."""
    done = action.act(args, "retry", RETRIED, region=args.region, model_id=args.model, question_id=args.question)
    if args.wait:
        if not args.json:
            remark(f"{len(done['retried'])} units run again")
        return wait_for(Api.of(args, patience=args.patience), args.job, args)
    if args.json:
        say_json(done)
    else:
        say(*(clean(f"{unit['region']} {unit['model_id']} runs again") for unit in done["retried"]))
    return Exit.OK
