"""Each process explains itself without any settings, and names an argument that it does not know."""

import os
import subprocess
import sys

import pytest

PROCESSES: dict[str, tuple[str, ...]] = {"runner_api": (), "outbox_publisher": (), "runner_worker": ("--region", "US")}
PROCESSES["runner_analyst"] = ()


def run(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`python -m` this module with no environment variable but the PATH."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={"PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", PROCESSES)
def test_help_needs_no_settings(module: str) -> None:
    told = run(module, "--help")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"usage: python -m {module}")


@pytest.mark.parametrize("module", PROCESSES)
def test_an_unknown_argument_is_named(module: str) -> None:
    told = run(module, *PROCESSES[module], "--unknown")
    assert told.returncode == 2
    assert "--unknown" in told.stderr
