"""The Procfile's lines as processes, each with its own environment: login, ports, programs."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from honcho.environ import parse_procfile  # type: ignore[import-untyped]  # it ships no types

from runner_cli.child import free_port
from runner_core.errors import BeaconError

OnLine = Callable[[str, str], None]

PROCFILE = Path(__file__).parent.parent / "Procfile"


class StackError(BeaconError):
    """The stack can't run."""


@dataclass(eq=False)
class Process:
    """One copy of one Procfile line."""

    name: str  # worker_us.1
    kind: str  # worker_us
    command: str
    env: dict[str, str]
    child: "subprocess.Popen[bytes] | None" = None
    ended: threading.Event = field(default_factory=threading.Event)
    started: float = 0.0
    ends: "deque[float]" = field(default_factory=deque)
    quick_ends: int = 0
    due: float | None = None  # when it starts again
    last_lines: "deque[str]" = field(default_factory=lambda: deque(maxlen=20))

    @property
    def pid(self) -> int | None:
        """None while it is down."""
        return self.child.pid if self.child is not None and not self.ended.is_set() else None


def read_procfile(
    procfile: Path, env: Mapping[str, str], counts: Mapping[str, int]
) -> tuple[Process | None, list[Process]]:
    """The release process, if there is one, and every copy of the other lines, in the file's order.

    `counts` says how many copies of a line (1 where silent). Raises StackError for a line that is not there."""
    lines = dict(parse_procfile(procfile.read_text()).processes)
    release = lines.pop("release", None)
    if unknown := sorted(set(counts) - set(lines)):
        raise StackError(f"{procfile.name} has no {', '.join(unknown)}; it has {', '.join(lines)}")
    processes: list[Process] = []
    for kind, command in lines.items():
        for copy in range(counts.get(kind, 1)):
            name = f"{kind}.{copy + 1}"
            own = _environment(env, kind) | _ports(env, kind, copy, len(processes))
            processes.append(Process(name, kind, command, own))
    return release and Process("release", "release", release, _environment(env, "release")), processes


def write_targets(home: Path, processes: Iterable[Process]) -> None:
    """Write targets.json in Prometheus' file_sd format, one target a process. The API's is the port that it serves."""
    targets = [
        {
            "targets": [f"127.0.0.1:{process.env['PORT' if process.kind == 'api' else 'METRICS_PORT']}"],
            "labels": {"process": process.name, "kind": process.kind},
        }
        for process in processes
    ]
    draft = home / "targets.json.new"
    draft.write_text(json.dumps(targets, indent=1))
    draft.replace(home / "targets.json")


def print_line(stream: TextIO) -> OnLine:
    """Print `name | line`, in a colour of its own for each name when `stream` is a terminal."""
    colours: dict[str, int] = {}
    lock = threading.Lock()
    tty = stream.isatty()

    def show(name: str, line: str) -> None:
        with lock:
            start, end = (f"\x1b[{colours.setdefault(name, 31 + len(colours) % 6)}m", "\x1b[0m") if tty else ("", "")
            stream.write(f"{start}{name:<13} |{end} {line}\n")
            stream.flush()

    return show


def _role(kind: str) -> str:
    """api, publisher, worker: what stands before the first underscore."""
    return kind.partition("_")[0]


def _environment(env: Mapping[str, str], kind: str) -> dict[str, str]:
    """`env` with the process's own database login as DATABASE_URL, and nobody else's."""
    own = {name: value for name, value in env.items() if not name.startswith("DATABASE_URL_")}
    if url := env.get(f"DATABASE_URL_{_role(kind).upper()}") or env.get("DATABASE_URL"):
        own["DATABASE_URL"] = url
    # The programs of our own environment first: the Procfile says `python` and `beacon`.
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    own["PYTHONUNBUFFERED"] = "1"
    return own


def _ports(env: Mapping[str, str], kind: str, copy: int, index: int) -> dict[str, str]:
    """METRICS_PORT + index in the whole stack, and PORT + copy for an API."""
    base = int(env.get("METRICS_PORT") or 0)
    ports = {"METRICS_PORT": str(base + index if base else free_port())}
    if _role(kind) == "api":
        ports["PORT"] = str(int(env.get("PORT") or 8090) + copy)
    return ports
