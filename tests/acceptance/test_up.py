"""`beacon up` itself, with the Procfile's real processes: started, taken at its word, asked twice, stopped, killed."""

import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import psycopg
import pytest

from runner_cli.child import free_port
from runner_cli.demo_job import demo_job
from runner_cli.home import CHECKOUT, running
from runner_cli.local import login_urls, set_passwords
from runner_core.keys import PrivateKey
from runner_core.trust import TrustList

UP = [sys.executable, "-m", "runner_cli", "up"]


@pytest.fixture
def env(home: Path, servers: object) -> dict[str, str]:
    """The environment of an `up` with a home, a port and simulated regions of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    return kept | {
        "BEACON_HOME": str(home),
        "PORT": str(free_port()),
        "METRICS_PORT": "0",
        "REGIONS_FILE": str(CHECKOUT / "regions/sandbox.toml"),
        "ALLOW_SANDBOX": "1",
    }


@contextmanager
def up(env: dict[str, str], *args: str) -> Iterator["subprocess.Popen[str]"]:
    """A running `beacon up` that has said that it is up; killed at the end if it still runs."""
    command = subprocess.Popen(
        [*UP, *args], env=env, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert command.stderr is not None
    said = []
    for line in command.stderr:
        said.append(line)
        if line == "Beacon Runner is up. Ctrl-C stops it; its data stays.\n":
            break
    else:
        pytest.fail("".join(said))
    try:
        yield command
    finally:
        command.kill()
        command.communicate()


def told(command: "subprocess.Popen[str]") -> dict[str, str]:
    """What `up` says when it is up, by the name that begins each line."""
    assert command.stderr is not None
    lines = [line.strip() for line in iter(command.stderr.readline, "\n")]
    return dict(re.split(" {2,}", line, maxsplit=1) for line in lines)


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, through its children's children; one that ends meanwhile may be missing."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                for child in (task / "children").read_text().split():
                    found += [int(child), *descendants(int(child))]
    return found


def handles_below(pid: int) -> list[int]:
    """A handle on every process below `pid` that still runs."""
    handles = []
    for child in descendants(pid):
        with suppress(ProcessLookupError):
            handles.append(os.pidfd_open(child))
    return handles


def wait_for_all(handles: list[int]) -> None:
    for handle in handles:
        ended, _, _ = select.select([handle], [], [], 30)
        os.close(handle)
        assert ended


def test_up_runs_until_ctrl_c_and_keeps_its_data(env: dict[str, str], home: Path) -> None:
    with up(env, "--count", "worker_us=2") as first:
        with urllib.request.urlopen(f"http://127.0.0.1:{env['PORT']}/health/ready", timeout=60) as answer:
            assert answer.status == 200
        assert running(home)["pid"] == first.pid
        with psycopg.connect(running(home)["database_url"], autocommit=True) as conn:
            conn.execute("CREATE TABLE kept AS SELECT 1 AS n")
        assert sorted(path.stem for path in (home / "log").glob("worker_us*")) == ["worker_us.1", "worker_us.2"]

        second = subprocess.run(UP, env=env, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert f"pid {first.pid}, API http://127.0.0.1:{env['PORT']}" in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1

        handles = handles_below(first.pid)
        assert len(handles) > 7
        first.send_signal(signal.SIGINT)
        assert first.wait(30) == 0
        wait_for_all(handles)
    assert running(home) == {}
    with up(env) as again:
        with psycopg.connect(running(home)["database_url"]) as conn:
            assert conn.execute("SELECT n FROM kept").fetchone() == (1,)
        again.send_signal(signal.SIGTERM)
        assert again.wait(30) == 0


def test_what_up_tells_a_newcomer_holds(env: dict[str, str], home: Path, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(demo_job()))
    with up(env) as command:
        said = told(command)
        answers = {url: httpx2.get(url, timeout=60) for url in re.findall(r"http://[^\s)]+", " ".join(said.values()))}
        assert {answer.status_code for answer in answers.values()} == {200}
        assert "<title>Jobs" in answers[said["portal"]].text
        assert "<title>API" in answers[said["API"]].text

        submit = re.search(r"\./beacon (.+?)  \(or (.+)\)", said["submit"])
        assert submit
        assert "<title>Submit" in answers[submit[2]].text
        done = subprocess.run([*UP[:-1], *shlex.split(submit[1])], env=env, cwd=tmp_path, check=False)
        assert done.returncode == 0, "signed by the stack's own key, found and followed to its end"

        token = Path(said["admin token"]).read_text()
        headers = {"Authorization": f"Bearer {token}"}
        asked = httpx2.get(f"{said['portal']}/admin/queues", headers=headers, timeout=60)
        assert asked.status_code == 200
        assert PrivateKey.load(Path(said["signing key"])).public_key in (home / "trusted-keys.json").read_text()
        assert TrustList.load(Path(said["receipt keys"]))
        assert list(Path(said["logs"]).glob("api*.log"))
        assert "publisher" in [t["labels"]["kind"] for t in json.loads(Path(said["metrics"]).read_text())]
        kept = json.loads(Path(said["database URL"].removeprefix("in ")).read_text())
        psycopg.connect(kept["database_url"]).close()
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 0


def test_doctor_beside_up_reads_what_up_was_given(
    env: dict[str, str], home: Path, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """In a shell that has a part of it or nothing: the processes' settings are looked at, not the shell's."""
    set_passwords(home, database_url)
    own = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "TRUST_ENFORCE": "0", "FRESHNESS_ENFORCE": "0"}
    own |= login_urls(home, database_url)

    def doctor(**shell: str) -> dict[str, tuple[str, str]]:
        kept = {name: value for name, value in env.items() if name not in ("REGIONS_FILE", "ALLOW_SANDBOX")}
        done = subprocess.run(
            [*UP[:-1], "doctor", "--json"], env=kept | shell, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return {found["subject"]: (found["level"], found["text"]) for found in json.loads(done.stdout)}

    with up(env | own) as command:
        for shell in ({}, {"DATABASE_URL": database_url}):
            found = doctor(**shell)
            assert not [text for level, text in found.values() if level == "error"]
            assert found["trusted keys"] == ("warning", doctor(**own)["trusted keys"][1])
            assert {"freshness", "receipts", "admin", "regions", "stack"} <= set(found)
        other = doctor(DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
        assert "TRUSTED_KEYS_FILE is not set" in other["trusted keys"][1], "another deployment is meant"
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 0


def test_a_killed_up_leaves_nothing_running(env: dict[str, str], home: Path) -> None:
    with up(env) as command:
        handles = handles_below(command.pid)
        command.kill()
        wait_for_all(handles)
    with up(env) as again:
        assert running(home)["pid"] == again.pid
