"""The `beacon` command in a test: called here, or as a process."""

import subprocess
import sys
from typing import Any

from runner_cli.commands import main

JOB = {
    "version": "v1",
    "benchmark": {"name": "b", "container": {"image": "i"}, "input": {"hash": "sha256:placeholder"}},
    "constraints": {"regions": ["US"]},
}


def usage(*arguments: str) -> int:
    """The exit code, whether the parser or the command says it."""
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else -1


def beacon(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The command as a process."""
    return subprocess.run(
        [sys.executable, "-m", "runner_cli", *arguments], text=True, capture_output=True, check=False, **options
    )
