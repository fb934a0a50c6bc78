"""The processes of one release, each with its own login, in the way of the Procfile."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.drill.release import Release
from runner_cli.child import end, free_port, spawn
from runner_cli.home import CHECKOUT
from tests.http_requests import request
from tests.loopback_regions import REGIONS

STOP_SECONDS, READY_SECONDS = 15.0, 60.0
COMMANDS = {"api": ["runner_api"], "publisher": ["outbox_publisher"], "analyst": ["runner_analyst"]}
COMMANDS |= {f"worker_{region.lower()}": ["runner_worker", "--region", region] for region in REGIONS}
WORKERS = [kind for kind in COMMANDS if kind.startswith("worker")]


@dataclass
class Side:
    """The processes of one release, by kind. `release` is None for this tree. `env` has a DATABASE_URL_<LOGIN> each."""

    release: Release | None
    env: Mapping[str, str]
    logs: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    pids: set[int] = field(default_factory=set)  # of all processes that were ever started
    port: int = field(default_factory=free_port)

    @property
    def api_url(self) -> str:
        """Return the URL of this side's API."""
        return f"http://127.0.0.1:{self.port}"

    def migrate(self) -> None:
        """Bring the database to this side's schema. Raises CalledProcessError."""
        with (self.logs / f"{self._name}-migrate.log").open("ab") as log:
            command = [self._python, "-m", "runner_cli", "migrate"]
            subprocess.run(command, env=dict(self.env), cwd=self._folder, stdout=log, stderr=log, check=True)

    def start(self, *kinds: str) -> None:
        """Start one process of each kind. Return when the API, if it is among them, is ready."""
        for kind in kinds:
            login = self.env[f"DATABASE_URL_{kind.partition('_')[0].upper()}"]
            own = {name: value for name, value in self.env.items() if not name.startswith("DATABASE_URL_")}
            own |= {"DATABASE_URL": login, "METRICS_PORT": str(free_port()), "PORT": str(self.port)}
            with (self.logs / f"{self._name}-{kind}.log").open("ab") as log:
                process = spawn(
                    [self._python, "-m", *COMMANDS[kind]],
                    death_signal=signal.SIGKILL,
                    env=own,
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            self.processes[kind] = process
            self.pids.add(process.pid)
        deadline = time.monotonic() + READY_SECONDS
        while "api" in kinds and request("GET", f"{self.api_url}/health/ready")[0] != 200:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the API of {self._name} is not ready: {self.logs} has its log")
            time.sleep(0.1)

    def stop(self, *kinds: str) -> None:
        """Stop the processes of these kinds, all if none is named, by SIGTERM."""
        chosen = [self.processes.pop(kind) for kind in kinds or tuple(self.processes) if kind in self.processes]
        for process in chosen:
            process.send_signal(signal.SIGTERM)
        for process in chosen:
            end(process, (signal.SIGTERM, STOP_SECONDS))

    def ended(self) -> list[str]:
        """Return the kinds of processes that have ended by themselves."""
        return [kind for kind, process in self.processes.items() if process.poll() is not None]

    @property
    def _name(self) -> str:
        return self.release.version if self.release else "this"

    @property
    def _python(self) -> str:
        return str(self.release.python) if self.release else sys.executable

    @property
    def _folder(self) -> Path:
        return self.release.folder if self.release else CHECKOUT
