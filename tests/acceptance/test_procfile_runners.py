"""The Procfile as it is under the runners that people have: honcho and foreman start it, and a job completes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from runner_cli.child import free_port
from runner_cli.home import CHECKOUT
from runner_core.keys import PrivateKey
from tests.conftest import SANDBOX_REGIONS, Servers

KINDS = ("api", "publisher", "worker_us", "worker_eu", "worker_asia", "analyst")
JOB = {
    "version": "v1",
    "benchmark": {"name": "b", "container": {"image": "i"}, "input": {"hash": "sha256:placeholder"}},
    "constraints": {"regions": ["US", "EU", "ASIA"], "min_regions": 3},
    "questions": ["What is 2+2?"],
    "models": ["llama3.2-1b"],
}


@contextmanager
def started(command: list[str], env: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The runner in the checkout, with a process group of its own; stopped as by Ctrl-C, with all that it started."""
    with log.open("wb") as output:
        runner = subprocess.Popen(
            command, env=env, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield runner
    finally:
        runner.send_signal(signal.SIGINT)
        try:
            runner.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(runner.pid, signal.SIGKILL)


@pytest.mark.parametrize("runner", ["honcho", pytest.param("foreman", marks=pytest.mark.needs("foreman"))])
def test_the_procfile_runs_as_it_is(
    runner: str, servers: Servers, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    key = PrivateKey.generate()
    key.save(tmp_path / "key.pem")
    trusted = [{"kid": "k", "public_key": key.public_key, "status": "active"}]
    (tmp_path / "trust.json").write_text(json.dumps(trusted))
    (tmp_path / "job.json").write_text(json.dumps(JOB))
    port = free_port()
    scripts = str(Path(sys.executable).parent)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("BEACON_", "BIND"))} | {
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "DATABASE_URL": servers.through_pooler(database_url),
        "DB_POOLER": "transaction" if servers.pooler_port else "",
        "REDIS_URL": redis_url,
        "REGIONS_FILE": str(SANDBOX_REGIONS),
        "ALLOW_SANDBOX": "1",
        "TRUSTED_KEYS_FILE": str(tmp_path / "trust.json"),
        "METRICS_PORT": "0",
        "BEACON_TEST": "1",
    }
    log = tmp_path / "runner.log"
    program = shutil.which(runner, path=env["PATH"])
    assert program
    # Each gives its first process the port that it was given, and every other process one further up.
    with started([program, "start", "-f", str(CHECKOUT / "Procfile"), "-p", str(port)], env, log) as running:
        submit = [sys.executable, "-m", "runner_cli", "submit", str(tmp_path / "job.json"), "--wait"]
        submit += ["--key", str(tmp_path / "key.pem"), "--url", f"http://127.0.0.1:{port}"]
        submit += ["--patience", "90s", "--timeout", "90s"]
        done = subprocess.run(submit, env=env, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0, (done.stderr, log.read_text(errors="replace"))
        assert len(done.stdout.splitlines()) == 3
        assert running.poll() is None, "nothing has ended, so it has stopped nothing"
    written = log.read_text(errors="replace")
    for kind in KINDS:
        assert re.search(rf"{kind}\.1", written), written
