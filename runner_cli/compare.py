"""`beacon compare`: what each region answered, side by side."""

import argparse

from runner_cli import client
from runner_cli.client import Api
from runner_cli.comparison import side_by_side
from runner_cli.exits import Exit, UsageError
from runner_cli.snapshot import Snapshot, look
from runner_cli.terminal import console, remark, say, say_json

EXAMPLES = """\
examples:
  beacon compare job-1
  beacon compare job-1 --model llama3.2-1b --width 160
  beacon compare job-1 --json | jq '.questions[].models'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help="the job's id")
    parser.add_argument("--model", help="this model only")
    parser.add_argument("--width", type=int, help="how many columns to use [the terminal's]")
    client.add_arguments(parser)


def compare(args: argparse.Namespace) -> int:
    """Raises Unreachable, Refused, UsageError for a model that the job does not have."""
    found = look(Api.of(args), args.job)
    if args.model and args.model not in found.models:
        raise UsageError(f"job {found.id} has no model {args.model}; it has {', '.join(found.models)}")
    models = [args.model] if args.model else found.models
    if args.json:
        say_json({"job_id": found.id, "status": found.verdict, "questions": table(found, models)})
        return Exit.OK
    say(*side_by_side(found, args.width or console().width, models))
    remark(f"job {found.id} {found.verdict}")
    return Exit.OK


def table(found: Snapshot, models: list[str]) -> list[dict[str, object]]:
    """The same as a document: question, then model, then region, then its rows."""
    return [
        {
            "question_id": question or None,
            "question": found.title(question) or None,
            "models": {model: found.cells(model, question) for model in models},
        }
        for question in found.questions
    ]
