"""`beacon label`: a person says what answers are, without seeing where they come from."""

import argparse
import json
import re
import sys
from typing import Any

from runner_cli import client
from runner_cli.client import Api, job_path
from runner_cli.exits import CommandError, Exit, UsageError
from runner_cli.exported import read_export
from runner_cli.labelling import LETTERS, Kappa, Shown, kappas, queue
from runner_cli.shapes import Shape
from runner_cli.terminal import clean, remark, say, say_json
from runner_core.comparison.sampling import DEFAULT_SIZE, MAX_SIZE

EXAMPLES = """\
Shows the answers of a sample one by one, each with its question and nothing else, in an order that tells nothing.
Type a letter and Enter; what follows the letter is a note. Labels are only added: the newest of an answer counts, and
the earlier ones are kept. A sample that was begun goes on where it was left.

Two people who label the same sample measure how far people say the same: each gives the name of his token with --me.

examples:
  BEACON_TOKEN=... beacon label job-1
  BEACON_TOKEN=... beacon label job-1 --sample 100 --me alice
"""
MOST_NOTE = 2000  # characters
PAGE = 1000  # labels that are read at a time
PATIENCE_SECONDS = 30.0
LABELS: Shape = {
    "labels": [{"id": int, "answer_id": int, "category": str, "source": str, "actor?": str}],
    "next_after?": int,
}
ADDED: Shape = {"answer_id": int, "category": str, "actor?": str}


class OtherPerson(CommandError):
    """The token is somebody else's."""

    exit = Exit.USAGE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help="the job's id")
    parser.add_argument(
        "--sample",
        type=_size,
        default=DEFAULT_SIZE,
        metavar="N",
        help=f"how many of the job's answers to label, the same ones for everybody [{DEFAULT_SIZE}]",
    )
    parser.add_argument(
        "--me",
        metavar="NAME",
        help="the name of your token: leave out what you labelled [what anybody labelled is left out]",
    )
    client.add_arguments(parser)


def label(args: argparse.Namespace) -> int:
    """Label the sample until it is done or the input ends. Raises UsageError, OtherPerson, Unreachable, Refused."""
    api = Api.of(args, patience=PATIENCE_SECONDS)
    if not api.has_token:
        raise UsageError("labels are an administrator's: set BEACON_TOKEN to an administrator's token")
    export = read_export(api, args.job)
    left, done = queue(export, read_labels(api, args.job), args.sample, args.me)
    tell = remark if args.json else say
    tell(f"{done} of {done + len(left)} answers of the sample have a label.", *help_lines())
    added = ask_all(api, left, args.me, tell)
    found = kappas(read_export(api, args.job), read_labels(api, args.job)) if added else []
    if args.json:
        told = [{"sources": one.sources, "n": one.n, "kappa": one.kappa} for one in found]
        say_json({"job_id": args.job, "labelled": added, "left": len(left) - added, "kappa": told})
    else:
        say("", *summary(added, len(left) - added, found))
    return Exit.OK


def ask_all(api: Api, left: list[Shown], person: str | None, tell: Any) -> int:
    """Ask for each answer in turn and store the labels; returns the number of answers that got one."""
    labelled: set[int] = set()
    place = 0
    while place < len(left):
        answer = left[place]
        tell("", f"--- {place + 1} of {len(left)}", clean(f"Question: {answer.question}"), "", clean(answer.text), "")
        typed = ask(tell)
        if typed is None or typed == "q":
            break
        if typed == "b":
            place = max(0, place - 1)
            continue
        if typed != "s":
            store(api, answer, typed, person)
            labelled.add(answer.answer_id)
        place += 1
    return len(labelled)


def ask(tell: Any) -> str | None:
    """Return what the person typed: s, b, q, or a category's letter with its note; None at the end of the input."""
    while True:
        tell(f"{'/'.join(LETTERS)}, s skip, b back, q quit:")
        line = sys.stdin.readline()
        if not line:
            return None
        letter, _, note = line.strip().partition(" ")
        if letter in LETTERS and len(note.strip()) <= MOST_NOTE:
            return f"{letter} {note.strip()}".strip()
        if letter in ("s", "b", "q") and not note:
            return letter
        tell(f"Type one of the letters, and behind a category's letter a note of at most {MOST_NOTE} characters.")


def store(api: Api, answer: Shown, typed: str, person: str | None) -> None:
    """Send a label. Raises OtherPerson where the token is not of this person; Unreachable, Refused."""
    letter, _, note = typed.partition(" ")
    body = json.dumps({"category": LETTERS[letter][0], "note": note}).encode()
    added = api.ask("POST", f"/api/v1/answers/{answer.answer_id}/labels", ADDED, body=body).body
    if person is not None and added.get("actor") != person:
        raise OtherPerson(f"this token is {added.get('actor')}'s, and so is the label that was just stored: use --me")


def read_labels(api: Api, job_id: str) -> list[dict[str, Any]]:
    """Read all labels of a job's answers, oldest first. Raises Unreachable, Refused."""
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = api.get(job_path(job_id, "/labels"), LABELS, after=after, limit=PAGE)
        found += page["labels"]
        behind = page.get("next_after")
        after = behind if behind is not None and behind > after else None
    return found


def help_lines() -> list[str]:
    """Return a line for each letter."""
    return [f"  {letter}  {category.replace('_', ' ')}: {meaning}" for letter, (category, meaning) in LETTERS.items()]


def summary(added: int, left: int, found: list[Kappa]) -> list[str]:
    """Return what was labelled, and the kappas."""
    counted = "1 answer" if added == 1 else f"{added} answers"
    return [f"Labelled {counted}; {left} of the sample are left.", *(clean(one.sentence()) for one in found)]


def _size(text: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= MAX_SIZE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of answers from 1 to {MAX_SIZE}")
    return int(text)
