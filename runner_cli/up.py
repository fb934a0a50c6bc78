"""`beacon up`: the whole stack, left running until Ctrl-C."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from runner_cli.demo_model import DemoModel, ModelUnavailable
from runner_cli.home import CHECKOUT, claimed, default_home
from runner_cli.local import Local, running_stack
from runner_core.settings import Settings, settings_in

PORT = 8090
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
    parser.add_argument("--port", type=int, help=f"the API's port on 127.0.0.1 [PORT, else {PORT}]")


def up(args: argparse.Namespace) -> int:
    """Run until Ctrl-C or SIGTERM (0), or until a process can't be kept running (1)."""
    for sign in (signal.SIGTERM, signal.SIGINT):  # a shell script's `beacon up &` would have SIGINT ignored
        signal.signal(sign, signal.default_int_handler)
    home = default_home()
    Settings.from_env()  # its mistakes are told before anything starts
    try:
        with claimed(home) as write_facts, providers(home) as added:
            env = {**os.environ, **added, "PORT": str(args.port or os.environ.get("PORT") or PORT)}
            env.setdefault("METRICS_PORT", str(METRICS_PORT))
            with running_stack(home, env, dict(args.count)) as local:
                write_facts(
                    {
                        "api_url": local.api_url,
                        "database_url": local.database_url,
                        "redis_url": local.servers.redis_url,
                        "environment": settings_in(local.env) | added,
                    }
                )
                say(*greeting(local))
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
        yield {"REGIONS_FILE": str(CHECKOUT / "regions/sandbox.toml"), "ALLOW_SANDBOX": "1"}
        return
    try:
        yield {
            "REGIONS_FILE": str(CHECKOUT / "regions/demo.toml"),
            "ALLOW_SANDBOX": "1",
            "DEMO_MODEL_PORT": str(model.port),
        }
    finally:
        model.stop()


def greeting(local: Local) -> list[str]:
    return [
        "",
        "Beacon Runner is up. Ctrl-C stops it; its data stays.",
        f"  portal        {local.api_url}",
        f"  submit        ./beacon submit job.json --wait  (or {local.api_url}/submit)",
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


def say(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()


def _count(text: str) -> tuple[str, int]:
    kind, _, number = text.partition("=")
    if not kind or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: write PROCESS=N, for example worker_us=4")
    return kind, int(number)
