"""The demo's real language model: its own environment, its own process, one server for all regions."""
# ruff: noqa: S603 - it starts our own script and our own server.

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from runner_cli.child import end, spawn
from runner_core.errors import BeaconError

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv-model/bin/python"
MODEL_ID = "smollm2-135m"
# Two questions in three regions at once.
SLOTS = 6
START_SECONDS = 60.0


class ModelUnavailable(BeaconError):
    """The demo's language model can't run here."""


class DemoModel:
    """SmolLM2-135M behind llama.cpp's server on a free port of 127.0.0.1; `log` gets what the server says."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def base_url(self) -> str:
        """What a provider of kind `openai` takes."""
        return f"http://127.0.0.1:{self.port}/v1"

    def install(self, say: Callable[[str], None]) -> None:
        """Make the model's environment if it is not there (once; then no network is touched).

        `say` gets progress lines. Raises ModelUnavailable with the reason."""
        bootstrap = ROOT / "beacon"
        if not bootstrap.exists():
            raise ModelUnavailable("Only ./beacon of a checkout installs the model, and this is not a checkout.")
        command = [sys.executable, str(bootstrap), "install-model"]
        line = ""
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
            for line in child.stderr or ():
                say(line.rstrip().removeprefix("beacon: "))
        if child.returncode:
            raise ModelUnavailable(line.strip().removeprefix("beacon: "))

    def start(self) -> str:
        """Start the server and wait until it answers. Returns `base_url`. Raises ModelUnavailable with the reason."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            process = self._process = spawn(
                [str(PYTHON), str(ROOT / "runner_cli/model_server.py"), "0", MODEL_ID, str(SLOTS)],
                death_signal=signal.SIGTERM,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        # It says where it listens once the model is loaded. A kill ends the wait for a server that never does.
        watchdog = threading.Timer(START_SECONDS, process.kill)
        watchdog.start()
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            with process.stdout as output:
                listening = re.match(rb"listening http://127\.0\.0\.1:(\d+)", output.readline())
        finally:
            watchdog.cancel()  # after a Ctrl-C too: its thread would keep this process from ending
        if listening is None:
            self.stop()
            tail = " ".join(self._log.read_text(errors="replace").split("\n")[-4:]).strip()
            raise ModelUnavailable(f"The model's server did not start (status {process.returncode}). {tail}")
        self.port = int(listening[1])
        return self.base_url

    def stop(self) -> None:
        """End the server. It has no data."""
        if self._process is not None:
            end(self._process, (signal.SIGTERM, 5.0))
            self._process = None
