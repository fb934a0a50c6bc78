"""`beacon plan`: what a job of some size could find, before money is spent on it. It asks no API."""

import argparse
import re
from collections.abc import Iterator
from typing import Any

from runner_cli.client import add_json
from runner_cli.columns import aligned
from runner_cli.exits import Exit
from runner_cli.terminal import say, say_json, say_wrapped
from runner_core.comparison.headline import p_text
from runner_core.comparison.material import MAX_RUNS
from runner_core.comparison.plan import plan as planned
from runner_core.jobspec import MAX_CALLS

EXAMPLES = """\
A question is marked when chance alone gives its answers with p <= 0.05. The smallest p that its runs can give says
whether the question can be marked at all. The tables are measured in simulations: docs/comparison.md has all of them.

examples:
  beacon plan --questions 10 --regions 2 --runs 5
  beacon plan --questions 20 --regions 3 --runs 5 --models 2 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, most, what in (
        ("questions", 1000, "questions of the job, without control questions"),
        ("regions", 100, "regions of each model"),
        ("runs", MAX_RUNS, f"how often each question is asked in each region, up to {MAX_RUNS}"),
    ):
        parser.add_argument(f"--{name}", type=number(most), required=True, metavar="N", help=what)
    parser.add_argument("--models", type=number(100), default=1, metavar="N", help="models of the job [1]")
    add_json(parser)


def plan(args: argparse.Namespace) -> int:
    """Print what the job could find."""
    found = planned(args.questions, args.regions, args.runs, args.models)
    if args.json:
        say_json(found)
        return Exit.OK
    say_wrapped(*sentences(found))
    for title, rows in tables(found):
        say("")
        say_wrapped(title)
        say(*aligned(rows))
    return Exit.OK


def sentences(found: dict[str, Any]) -> Iterator[str]:
    """Yield what can be tested with so many questions, regions and runs, and from how many runs on it can."""
    yield f"{found['calls']} calls." + (
        f" A job has at most {MAX_CALLS}: ask fewer questions, or use fewer runs." if found["calls"] > MAX_CALLS else ""
    )
    if found["min_p_question"] is None:
        yield "One region has nothing to be compared with: plan two or more."
        return
    smallest = f"the smallest p of one question's wording is {p_text(found['min_p_question'])}"
    if found["can_mark_one_alone"]:
        yield f"One question: it can be marked, also if it is the only one; {smallest}."
    elif found["can_mark_a_question"]:
        needed = _needed(found["runs_needed_for_one_alone"], "if it is the only one")
        yield f"One question: it can be marked beside others only; {smallest}. {needed}"
    else:
        needed = _needed(found["runs_needed_for_one_question"], "at all")
        yield f"One question: its wording can't be marked; {smallest}. {needed}"
    if found["min_p_model_wording"] is None:
        needed = _needed(found["runs_needed_for_the_model"], "")
        yield f"A model: its wording can't be tested with one run of each question. {needed}"
    else:
        smallest = p_text(found["min_p_model_wording"])
        yield f"A model over all its questions: the smallest p of its wording is {smallest}."
    yield "Withheld answers and facts are tested over all questions of a model, with one run too."


def tables(found: dict[str, Any]) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the rows of the measured tables that are nearest below, each with a title."""
    withheld, wording = found["power_withheld"], found["power_wording"]
    if withheld is None and wording is None and found["min_p_question"] is not None:
        yield "No table fits: the simulations are of two regions, and of more questions or runs.", []
    if withheld:
        added = [f"+{round(100 * share)} points" for share in withheld["added"]]
        size = f"{withheld['questions']} questions, {withheld['runs']} runs, two regions"
        yield (
            f"Found in 100 simulations ({size}; p <= 0.05, before any correction), by what one region withholds more:",
            [["withheld", "nothing", *added], ["a model", *_times([withheld["level"], *withheld["found"]])]],
        )
    if wording:
        size = f"{wording['runs']} runs, two regions"
        model = f"a model, {wording['questions']} questions"
        yield (
            f"Found in 100 simulations ({size}; p <= 0.05, before any correction), by the excess of the wording:",
            [
                *_rows("one question, temperature 1", wording["excess_of_one_question"], wording["one"]),
                *_rows("one question, temperature 0.1", wording["excess_of_one_question_cold"], wording["one_cold"]),
                *_rows(f"{model}, temperature 1", wording["excess"], wording["model"]),
                *_rows(f"{model}, temperature 0.1", wording["excess_cold"], wording["model_cold"]),
            ],
        )


def number(most: int) -> Any:
    """Return a reader of whole numbers from 1 to `most`."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
        return int(text)

    return read


def _needed(runs: int | None, what: str) -> str:
    told = f" to mark one {what}" if what else ""
    return f"{runs} runs are needed{told}." if runs else f"{MAX_RUNS} runs are too few{told}."


def _rows(what: str, excesses: list[float], found: list[float]) -> list[list[str]]:
    return [[what, "excess", *(f"{excess:.3f}" for excess in excesses)], ["", "found", *_times(found)]]


def _times(shares: list[float]) -> list[str]:
    return [f"{100 * share:.3g}" for share in shares]
