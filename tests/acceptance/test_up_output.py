"""`beacon up` where its API is bound elsewhere, and where whoever reads its output leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from runner_cli.child import free_port
from runner_cli.home import CHECKOUT, running

UP = [sys.executable, "-m", "runner_cli", "up"]


@pytest.fixture
def env(home: Path, servers: object) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.endswith("_URL") and name not in ("PORT", "BIND")
    }
    return kept | {
        "BEACON_HOME": str(home),
        "METRICS_PORT": "0",
        "REGIONS_FILE": str(CHECKOUT / "regions/sandbox.toml"),
        "ALLOW_SANDBOX": "1",
    }


@contextmanager
def up(env: dict[str, str], *args: str) -> Iterator["subprocess.Popen[str]"]:
    """A running `beacon up`; stopped as by Ctrl-C at the end."""
    with subprocess.Popen(
        [*UP, *args], env=env, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        try:
            yield command
        finally:
            command.send_signal(signal.SIGINT)
            command.communicate(timeout=60)


def until_up(home: Path, command: "subprocess.Popen[str]") -> str:
    """The API's URL, as soon as the stack has written it for other commands."""
    deadline = time.monotonic() + 120
    while not running(home).get("api_url"):
        assert command.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return str(running(home)["api_url"])


def test_bind_of_the_environment_is_where_everybody_looks(env: dict[str, str], home: Path) -> None:
    port = free_port()
    with up(env | {"BIND": f"0.0.0.0:{port}", "PORT": str(free_port())}) as command:
        command.stdout.close()  # type: ignore[union-attr]
        url = until_up(home, command)
        assert url == f"http://127.0.0.1:{port}"
        assert httpx2.get(f"{url}/health/ready", timeout=60).status_code == 200
        targets = json.loads((home / "targets.json").read_text())
        assert [t["targets"] for t in targets if t["labels"]["kind"] == "api"] == [[f"127.0.0.1:{port}"]]
        assert httpx2.get(f"http://{targets[0]['targets'][0]}/metrics", timeout=60).status_code == 200


def test_a_reader_that_leaves_takes_no_line_out_of_the_files(env: dict[str, str], home: Path) -> None:
    with up(env, "--port", str(free_port())) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.readline()
        command.stdout.close()
        command.stderr.close()
        url = until_up(home, command)
        answer = httpx2.get(f"{url}/api/v1/jobs/nobody", timeout=60)
        assert answer.status_code == 404
        asked = answer.headers["X-Request-ID"]
        deadline = time.monotonic() + 30
        while asked not in (home / "log/api.1.log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert command.returncode in (0, 141)
