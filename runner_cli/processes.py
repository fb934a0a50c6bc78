"""The Procfile's lines as processes, each with its own environment: login, addresses, programs."""

import json
import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner_cli.child import free_port
from runner_cli.listening import Address, api_address, metrics_address
from runner_core.errors import BeaconError

OnLine = Callable[[str, str], None]

LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)")  # what foreman and honcho take for a process; all else is a remark


class StackError(BeaconError):
    """The stack can't run."""


@dataclass(eq=False)
class Process:
    """One copy of one Procfile line."""

    name: str  # worker_us.1
    kind: str  # worker_us
    command: str
    env: dict[str, str]
    metrics: Address  # where it answers /metrics
    child: "subprocess.Popen[bytes] | None" = None
    ended: threading.Event = field(default_factory=threading.Event)
    started: float = 0.0
    ends: "deque[float]" = field(default_factory=deque)
    quick_ends: int = 0
    due: float | None = None  # when it starts again
    last_lines: "deque[str]" = field(default_factory=lambda: deque(maxlen=20))

    @property
    def pid(self) -> int | None:
        """The process id; None while the process is down."""
        return self.child.pid if self.child is not None and not self.ended.is_set() else None


def read_procfile(procfile: Path, env: Mapping[str, str], counts: Mapping[str, int]) -> list[Process]:
    """Every copy of every line, in the file's order.

    `counts` says how many copies of a line (1 where silent). Raises StackError for a line that is not there,
    ConfigError for addresses that can't be."""
    lines = {line[1]: line[2] for line in map(LINE.fullmatch, procfile.read_text().splitlines()) if line}
    if unknown := sorted(set(counts) - set(lines)):
        raise StackError(f"{procfile.name} has no {', '.join(unknown)}; it has {', '.join(lines)}")
    base = metrics_address(env)
    processes: list[Process] = []
    for kind, command in lines.items():
        for copy in range(counts.get(kind, 1)):
            name, own = f"{kind}.{copy + 1}", _environment(env, kind)
            metrics = base.next(len(processes)) if base else _free(env)
            own["METRICS_PORT"] = str(metrics.port)
            if _role(kind) == "api":  # its metrics are on its own port
                metrics = api_address(env).next(copy)
                own |= {"BIND": metrics.bind, "PORT": str(metrics.port)}
            processes.append(Process(name, kind, command, own, metrics))
    return processes


def write_targets(home: Path, processes: Iterable[Process]) -> None:
    """Write targets.json in Prometheus' file_sd format, one target a process."""
    targets = [
        {"targets": [process.metrics.reached_at], "labels": {"process": process.name, "kind": process.kind}}
        for process in processes
    ]
    draft = home / "targets.json.new"
    draft.write_text(json.dumps(targets, indent=1))
    draft.replace(home / "targets.json")


def _free(env: Mapping[str, str]) -> Address:
    return Address(env.get("METRICS_HOST", "").strip() or "127.0.0.1", free_port(), "METRICS_PORT")


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
