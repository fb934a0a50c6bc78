"""`beacon doctor`: what is wrong with a deployment's settings, and the way out."""

import argparse
from collections.abc import Iterator, Mapping

from runner_cli import client
from runner_cli.check_config import check_keys, check_regions
from runner_cli.check_database import check_database
from runner_cli.check_processes import check_processes
from runner_cli.check_redis import check_redis
from runner_cli.client import Api, Unreachable
from runner_cli.database import add_database, environment, find_database_url
from runner_cli.exits import CommandError, Exit
from runner_cli.findings import COLOURS, Finding, error, ok, warning
from runner_cli.shapes import HEALTH
from runner_cli.terminal import clean, say, say_json
from runner_cli.terminal import show as draw
from runner_core.errors import ConfigError
from runner_core.start_commands import start_command
from runner_queue.addresses import settings_from

EXAMPLES = """\
Run it with the environment of the stack; beside `beacon up` it needs none. It changes nothing.

examples:
  beacon doctor
  beacon doctor --probe              # also asks each provider for its list of models
  beacon doctor --json | jq '.[] | select(.level == "error")'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_database(parser)
    parser.add_argument("--probe", action="store_true", help="send a request to each provider (one that costs nothing)")
    client.add_arguments(parser)


def doctor(args: argparse.Namespace) -> int:
    """Return 1 when a finding is an error, 2 when the settings can't be read."""
    findings = list(examine(args, environment(args)))
    if args.json:
        say_json([vars(found) for found in findings])
    else:
        show(findings)
    if any(found.subject == "settings" for found in findings):
        return Exit.USAGE
    return Exit.FAILED if any(found.level == "error" for found in findings) else Exit.OK


def examine(args: argparse.Namespace, env: Mapping[str, str]) -> Iterator[Finding]:
    """Every finding, the servers first."""
    try:
        settings, url = settings_from(env), find_database_url(args)
    except ConfigError as mistakes:
        yield from (error("settings", mistake) for mistake in mistakes.mistakes)
        return
    yield from check_database(settings, url)
    yield from check_redis(settings, url)
    yield from check_keys(settings)
    yield from check_regions(settings, env, probe=args.probe)
    yield from check_processes(url)
    yield from check_api(args)


def check_api(args: argparse.Namespace) -> Iterator[Finding]:
    """Whether the API answers and every kind of process lives."""
    try:
        health = Api.of(args).get("/health", HEALTH)
    except Unreachable as reason:
        yield warning("api", reason.detail)
        return
    except CommandError as reason:
        yield error("api", reason.detail)
        return
    yield ok("api", f"version {health['version']}, {health['status']}")
    for part in health["services"]:
        if part["status"] != "healthy":
            kind, _, region = part["name"].partition(":")
            way_out = "check the server" if kind == "database" else f"start it: {start_command(kind, region)}"
            tell = warning if kind == "analyst" else error  # jobs run without an analyst, and have no comparison
            yield tell(part["name"], f"it is {part['status']}; {way_out}")


def show(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for found in findings:
        table.add_row(Text(found.level, COLOURS[found.level]), Text(clean(found.subject)), Text(clean(found.text)))
    draw(table)
    say(", ".join(f"{sum(f.level == level for f in findings)} {level}" for level in COLOURS))
