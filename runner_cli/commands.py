"""`beacon`: finds the command, reads its options, and turns every error into one sentence and an exit code.

Each command is a module of its own with `add_arguments(parser)` and a function of the command's name. Only the module
that is asked for is imported, so that `beacon --help` answers at once.
"""

import argparse
import difflib
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from runner_cli.exits import MEANING, CommandError, Exit
from runner_core import __version__
from runner_core.errors import BeaconError, ConfigError
from runner_core.standard_streams import discard_output

COMMANDS = {
    "Start": {
        "demo": "run one job through a whole stack of its own, then stop everything",
        "up": "run the stack here until Ctrl-C; data stays",
        "test": "run the tests (through ./beacon, which installs what they need)",
        "migrate": "bring the database of DATABASE_URL to this release's schema",
    },
    "Jobs": {
        "keygen": "make a signing key, and its entry for the trust list",
        "sign": "sign a job",
        "submit": "send a job; an unsigned job is signed first",
        "watch": "follow a job live until it ends",
        "jobs": "list jobs",
        "show": "show one job: its status, regions, and every row",
        "compare": "show a job's answers side by side, region by region",
        "analyse": "say what the comparison of a job's regions shows, and compute it again",
        "report": "write a job's comparison into one file that prints on A4",
        "label": "say of a job's answers what they are, without seeing where they come from",
        "plan": "say what a job of some size could find, before it costs anything",
        "explain": "say why a job is not done, or why it failed",
        "cancel": "cancel a job",
        "retry": "run the failed parts of a job again",
        "receipt": "check a receipt offline",
    },
    "Operate": {
        "canary": "submit a job to a running deployment, and check everything that it leaves",
        "verify": "check the invariants in the database",
        "doctor": "check the settings of PostgreSQL, Redis, keys and providers",
    },
}
ENVIRONMENT = {
    "BEACON_URL": "the API [the stack of `beacon up` on this machine, else http://127.0.0.1:8090]",
    "BEACON_TOKEN": "an admin's (or reader's) token [that of `beacon up`, when it is the API]",
    "BEACON_TOKEN_FILE": "a file that holds the token",
    "BEACON_KEY": "the signing key's file [that of `beacon up`, when it is the API]",
    "DATABASE_URL": "for migrate, verify, doctor and canary",
    "REDIS_URL": "for doctor and verify",
}
EXAMPLES = """\
examples:
  beacon demo                                   # everything, once
  beacon up                                     # in one terminal; then in another:
  beacon submit job.json --wait                 # exit code 3 when the job fails
  beacon jobs --status running --json | jq .
"""


class Parser(argparse.ArgumentParser):
    """Says a mistake in one line and names the page that helps."""

    given: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"{self.prog}: {message}{self._hint(message)} (see `{self.prog} --help`)\n")

    def _hint(self, message: str) -> str:
        """Return how to write an id or a value that begins with a dash, if such a word may have caused the mistake."""
        odd = [word for word in self.given if word.startswith("-") and word not in self._option_string_actions]
        if not message.startswith("the following arguments are required"):
            odd = [word for word in odd if not word.startswith("--")]  # more likely a mistyped option
        if odd and self._get_positional_actions() and not message.startswith("argument"):
            return f"; write an argument that begins with a dash after two dashes: `{self.prog} -- {odd[0]}`"
        if message.endswith("expected one argument"):
            return "; write a value that begins with a dash after an equals sign: --option=-x"
        return ""


def main(argv: Sequence[str] | None = None, *, interrupt: Any = signal.default_int_handler) -> int:
    """Run one command and return its exit code. Raises SystemExit for --help, --version and wrong usage.

    `interrupt` handles SIGINT while the command runs. Until the command's module is imported, the caller's
    handler is in force.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return run(argv, interrupt)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return Exit.BROKEN_PIPE
    except BeaconError as error:
        say_error(argv, error.detail)
        return exit_of(error)
    except OSError as error:  # of a file that a command reads or writes: a full disk, a missing right
        if error.filename == "stdout":
            discard_output()
        named = f"{error.filename}: " if error.filename else ""
        say_error(argv, f"{named}{error.strerror or error}")
        return Exit.FAILED


def say_error(argv: Sequence[str], sentence: str) -> None:
    from runner_cli.terminal import clean, remark

    remark(clean(f"beacon {argv[0]}: {sentence}"))


def exit_of(error: BeaconError) -> Exit:
    """Return the exit code of an error. A mistake in the configuration counts as wrong usage."""
    if isinstance(error, CommandError):
        return error.exit
    return Exit.USAGE if isinstance(error, ConfigError) else Exit.FAILED


def run(argv: list[str], interrupt: Any) -> int:
    """Find the command and call it."""
    parser = Parser(prog="beacon", add_help=False)
    if not argv:
        parser.error("say what to do, for example `beacon demo`")
    if argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return Exit.OK
    if argv[0] in ("-V", "--version"):
        sys.stdout.write(f"beacon {__version__}\n")
        return Exit.OK
    known = {name: summary for group in COMMANDS.values() for name, summary in group.items()}
    name = argv[0]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        parser.error(f"there is no command {name!r}" + (f"; did you mean `beacon {near[0]}`?" if near else ""))
    module = importlib.import_module(f"runner_cli.{name}")
    signal.signal(signal.SIGINT, interrupt)
    parser = Parser(
        prog=f"beacon {name}",
        description=f"{known[name][0].upper()}{known[name][1:]}.",
        epilog=getattr(module, "EXAMPLES", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    if name == "test" and not {"-h", "--help"} & set(argv):
        args = argparse.Namespace(arguments=argv[1:])  # they are pytest's, options and all
    else:
        parser.given = argv[1:]
        args = parser.parse_args(argv[1:])
    return _call(getattr(module, name), args)


def _call(command: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Call the command. If the API knows no job of this id, call it for the one job whose id begins so."""
    try:
        return command(args)
    except CommandError as error:
        if error.code != "not_found" or not hasattr(args, "job"):
            raise
        from runner_cli.client import Api
        from runner_cli.job_id import whole

        found = whole(Api.of(args), args.job)
        if found is None:
            raise
        args.job = found
        return command(args)


def overview() -> str:
    """The page of `beacon --help`."""
    lines = ["usage: beacon COMMAND [options]; `beacon COMMAND --help` has each command's options and examples", ""]
    for title, commands in COMMANDS.items():
        lines += [f"{title}:", *(f"  {name:<9} {summary}" for name, summary in commands.items()), ""]
    lines += ["environment:", *(f"  {name:<13} {meaning}" for name, meaning in ENVIRONMENT.items()), ""]
    lines += ["exit codes:", *(f"  {code.value:<4} {meaning}" for code, meaning in MEANING.items()), ""]
    return "\n".join(lines) + "\n" + EXAMPLES
