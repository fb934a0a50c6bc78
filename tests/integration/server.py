"""The API as it is started: a process of its own with an Api's environment."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2

from runner_cli.child import free_port


class Server:
    """`python -m runner_api` with an Api's environment."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"api-{self.port}.log"
        own = {"PATH": os.environ["PATH"], "PORT": str(self.port), "STOP_GRACE_SECONDS": "5", **env}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "runner_api"], env=own, stdout=log, stderr=log)

    def wait(self) -> "Server":
        """Return when it answers."""
        while True:
            try:
                httpx2.get(f"{self.url}/health/live", timeout=10)
                return self
            except httpx2.ConnectError:
                assert self.process.poll() is None, self.log.read_text()

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sign)
        return self.process.wait(20)

    def kill(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def metric(self, name: str) -> float:
        """The sum of every series of a metric."""
        text = httpx2.get(f"{self.url}/metrics").text
        return sum(float(v) for v in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE))
