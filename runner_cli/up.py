"""`beacon up`: the whole stack, left running until Ctrl-C."""

import argparse
import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from runner_cli import interrupt
from runner_cli.demo_model import DemoModel, ModelUnavailable
from runner_cli.first_minute import login_codes, login_link, submit_sample
from runner_cli.home import claimed, default_home
from runner_cli.listening import api_address
from runner_cli.local import Local, check_environment, running_stack
from runner_cli.shipped import COMMAND, regions_file
from runner_cli.terminal import remark as say
from runner_core.addresses import API_PORT, is_port
from runner_core.errors import ConfigError
from runner_core.secret_files import with_secrets
from runner_core.settings import settings_in

METRICS_PORT = 8091  # and the ports after it, one a process; targets.json in the home lists them for Prometheus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count",
        action="append",
        default=[],
        type=_count,
        metavar="PROCESS=N",
        help="copies of a Procfile line, for example worker_us=4; repeat it for more lines",
    )
    parser.add_argument("--no-sample", action="store_true", help="submit no sample comparison to an empty database")
    parser.add_argument("--port", type=_port, help=f"the API's port [that of BIND, else PORT, else {API_PORT}]")


def up(args: argparse.Namespace) -> int:
    """Run until Ctrl-C or SIGTERM (0), or until a process can't be kept running (1)."""
    interrupt.install()  # a shell script's `beacon up &` would have SIGINT ignored
    home, given = default_home(), addresses(args.port, with_secrets(os.environ))
    check_environment(given, dict(args.count))  # its mistakes are told before anything starts
    try:
        with claimed(home) as write_facts, providers(home) as added, login_codes(home, given) as codes:
            env = {**given, **added, **codes}
            with running_stack(home, env, dict(args.count)) as local:
                write_facts(
                    {
                        "api_url": local.api_url,
                        "database_url": local.database_url,
                        "redis_url": local.servers.redis_url,
                        "environment": settings_in(local.env) | added,
                    }
                )
                # An operator's own regions file may name providers that cost money: only ours are asked unasked.
                sample = submit_sample(local) if added and not args.no_sample else ""
                say(*greeting(local, login_link(local), sample))
                while (status := local.stack.wait(1.0)) is None:
                    local.servers.revive()
            say(local.stack.failure or "")
            return status
    except KeyboardInterrupt:
        say("Stopped. The data stays in the home; `beacon up` goes on from there.")
        return 0


@contextlib.contextmanager
def providers(home: Path) -> Iterator[dict[str, str]]:
    """The regions file: the operator's where REGIONS_FILE is set, else the demo's with its model running.

    Yields what to add to the environment. Without the model the regions are simulated, and the reason is said."""
    if os.environ.get("REGIONS_FILE"):
        yield {}
        return
    model = DemoModel(home / "log/model.log")
    try:
        model.install(say)
        model.start()
    except ModelUnavailable as reason:
        say(f"No language model, so every answer is simulated: {reason.detail}")
        yield {"REGIONS_FILE": str(regions_file("sandbox.toml")), "ALLOW_SANDBOX": "1"}
        return
    try:
        yield {
            "REGIONS_FILE": str(regions_file("demo.toml")),
            "ALLOW_SANDBOX": "1",
            "DEMO_MODEL_PORT": str(model.port),
        }
    finally:
        model.stop()


def greeting(local: Local, *first: str) -> list[str]:
    """Return what `up` says when it is up. `first` are the lines for a newcomer; empty ones are left out."""
    return [
        "",
        "Beacon Runner is up. Ctrl-C stops it; its data stays.",
        f"  portal        {local.api_url}",
        *filter(None, first),
        f"  submit        {COMMAND} submit job.json --wait  (or {local.api_url}/submit)",
        f"  API           {local.api_url}/docs",
        f"  health        {local.api_url}/health",
        f"  signing key   {local.signing_key}",
        f"  receipt keys  {local.home / 'runner-keys.json'}",
        f"  admin token   {local.home / 'admin-token'}",
        f"  logs          {local.home / 'log'}",
        f"  metrics       {local.home / 'targets.json'}",
        f"  database URL  in {local.home / 'running.json'}",
        "",
    ]


def addresses(port: int | None, env: Mapping[str, str]) -> dict[str, str]:
    """`env` with the addresses that `up` listens at. A mistaken BIND stays, for `check_environment` to tell."""
    made = {"METRICS_PORT": str(METRICS_PORT), **env}
    if port is not None:
        made["PORT"] = str(port)
        with contextlib.suppress(ConfigError):
            if env.get("BIND"):
                made["BIND"] = replace(api_address(made), port=port).bind
        return made
    return {**made, "PORT": env.get("PORT") or str(API_PORT)}


def _port(text: str) -> int:
    if not is_port(text):
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)


def _count(text: str) -> tuple[str, int]:
    kind, _, number = text.partition("=")
    if not kind or not re.fullmatch("[0-9]{1,3}", number):
        raise argparse.ArgumentTypeError(f"{text!r}: write PROCESS=N with N up to 999, for example worker_us=4")
    return kind, int(number)
