"""`beacon compare`: what each region answered, side by side."""

import argparse
import re

from runner_cli import client
from runner_cli.analysed import Analysed, if_known
from runner_cli.analysis_text import head
from runner_cli.client import Api
from runner_cli.columns import wrapped
from runner_cli.comparison import FOLDED_LINES, side_by_side
from runner_cli.exits import Exit, UsageError
from runner_cli.provenance import change_lines
from runner_cli.snapshot import Snapshot, look
from runner_cli.terminal import clean, page, remark, say_json, width
from runner_core.served_changes import served_changes

EXAMPLES = """\
Above the answers stand the cautions and the headline of the comparison, beside each model the question's verdict;
`beacon analyse` has the numbers. On a terminal long answers are shortened, and output longer than the screen goes
through PAGER, or `less` where that is not set; with PAGER= it does not.

examples:
  beacon compare job-1
  beacon compare job-1 --model llama3.2-1b --width 160
  beacon compare job-1 --different                     # only questions that the regions answer differently
  beacon compare job-1 --json | jq '.questions[].models'
"""
PIPED_WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help="the job's id")
    parser.add_argument("--model", help="this model only")
    parser.add_argument("--question", metavar="ID", help="this question only: its id, or the text that was asked")
    parser.add_argument("--different", action="store_true", help="only questions that the regions answer differently")
    parser.add_argument("--full", action="store_true", help="print whole answers on a terminal, too")
    parser.add_argument("--width", type=_columns, help="how many columns to use [the terminal's, else 100]")
    client.add_arguments(parser)


def compare(args: argparse.Namespace) -> int:
    """Print the comparison. Raises Unreachable, Refused, UsageError for a model or question not in the job."""
    api = Api.of(args)
    found = look(api, args.job)
    analysed = if_known(api, args.job)
    if args.model and args.model not in found.models:
        raise UsageError(f"job {found.id} has no model {args.model}; it has {', '.join(found.models)}")
    models = [args.model] if args.model else found.models
    questions = found.questions
    if args.question:
        questions = [name for name in questions if args.question in (name, found.title(name))]
        if not questions:
            raise UsageError(f"job {found.id} has no question {args.question}; `beacon compare --json` lists them")
    if args.json:
        changes = [change.as_json() for change in served_changes(found.rows) if change.model_id in models]
        told = {"job_id": found.id, "status": found.verdict, "served_model_changes": changes}
        say_json(told | {"analysis": analysed.summary(), "questions": table(found, models, questions, analysed)})
        return Exit.OK
    most = None if args.full or width() is None else FOLDED_LINES
    columns = args.width or width() or PIPED_WIDTH
    changed = change_lines([row for row in found.rows if row["model_id"] in models])
    compared = side_by_side(
        found, columns, models, questions, most=most, different=args.different, verdicts=analysed.verdicts(models)
    )
    above = [*(line for change in changed for line in wrapped(change, columns)), *([""] if changed else [])]
    page(*head(analysed, args.width or width()), "", *above, *compared)
    remark(clean(f"job {found.id} {found.verdict}"))
    return Exit.OK


def table(found: Snapshot, models: list[str], questions: list[str], analysed: Analysed) -> list[dict[str, object]]:
    """Return the comparison as a document: rows by question, model and region, and each model's verdict."""
    told = analysed.verdicts(models)
    return [
        {
            "question_id": question or None,
            "question": found.title(question) or None,
            "verdicts": {model: told.get((model, question)) for model in models},
            "models": {model: found.cells(model, question) for model in models},
        }
        for question in questions
    ]


def _columns(text: str) -> int:
    if not re.fullmatch("[0-9]{2,4}", text) or int(text) < 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of columns from 20 on")
    return int(text)
