"""`beacon test`: pytest, from the checkout."""

import argparse
import importlib.util
import os
import sys

from runner_cli.exits import UsageError
from runner_cli.home import CHECKOUT

EXAMPLES = """\
`./beacon test` installs what the tests need before it comes here.

examples:
  ./beacon test
  ./beacon test -k signing -x
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("arguments", nargs="*", help="arguments for pytest")


def test(args: argparse.Namespace) -> int:
    """Does not return. Raises UsageError where there are no tests or no pytest."""
    if not (CHECKOUT / "tests").exists() or not importlib.util.find_spec("pytest"):
        raise UsageError("the tests are run by `./beacon test` from a checkout")
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *args.arguments])  # noqa: S606 - our own interpreter
