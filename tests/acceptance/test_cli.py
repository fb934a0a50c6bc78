"""The commands against a real stack: the Procfile's processes, simulated providers."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner_cli.child import free_port
from runner_cli.exits import Exit
from runner_cli.local import Local

Beacon = Callable[..., "subprocess.CompletedProcess[str]"]

REGIONS = """
default_model = "good"
[questions]
q1 = "What is it?"
q2 = "Why is it?"
[regions.US]
[regions.EU]
[regions.ASIA]
{providers}
"""


@pytest.fixture(scope="module")
def regions_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`good` answers everywhere, `bad` fails in EU alone, `slow` takes five minutes in ASIA."""
    lines = []
    for region in ("US", "EU", "ASIA"):
        for model in ("good", "bad", "slow"):
            lines += ["[[providers]]", f'id = "{model}-{region.lower()}"', f'region = "{region}"', 'kind = "sandbox"']
            lines += [f'models = {{ {model} = "{model}" }}']
            if (model, region) == ("bad", "EU"):
                lines.append('options = { fail = "http_400" }')
            if (model, region) == ("slow", "ASIA"):
                lines.append("options = { delay_seconds = 300 }")
    path = tmp_path_factory.mktemp("regions") / "regions.toml"
    path.write_text(REGIONS.format(providers="\n".join(lines)))
    return path


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., Local], regions_file: Path) -> Local:
    """One for all of these tests; each looks at its own jobs only."""
    return shared_stack(env={"REGIONS_FILE": str(regions_file)})


@pytest.fixture
def env(local: Local, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who uses this stack from elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    return kept | {
        "BEACON_URL": local.api_url,
        "BEACON_KEY": str(local.signing_key),
        "BEACON_TOKEN": local.admin_token,
        "BEACON_HOME": str(tmp_path / "no-home"),
        "BEACON_TEST": "1",
    }


@pytest.fixture
def beacon(env: dict[str, str]) -> Beacon:
    """Runs a command; `stdin` is sent to it, other keywords change its environment."""

    def run(*arguments: str, stdin: str | None = None, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "runner_cli", *arguments]
        return subprocess.run(
            command, env=env | more, input=stdin, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def job(*models: str, job_id: str | None = None, **constraints: Any) -> str:
    spec: dict[str, Any] = {
        "version": "v1",
        "benchmark": {"name": "b", "container": {"image": "i"}, "input": {"hash": "sha256:placeholder"}},
        "constraints": {"regions": ["US", "EU", "ASIA"], **constraints},
        "questions": ["q1", "q2"],
        "models": list(models),
    }
    return json.dumps(spec | ({"id": job_id} if job_id else {}))


def said(done: "subprocess.CompletedProcess[str]", exit_code: int = 0) -> str:
    """What a command printed, when it ended as it should."""
    assert done.returncode == exit_code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout


def test_a_job_from_file_to_receipt(beacon: Beacon, local: Local, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(job("good", job_id="job-1"))
    lines = said(done := beacon("submit", str(tmp_path / "job.json"), "--wait", "--timeout", "60s")).splitlines()
    assert len(lines) == 6
    assert all("good" in line and "completed" in line and "[simulated]" in line for line in lines)
    assert done.stderr.splitlines() == ["job job-1 accepted", "job job-1 completed"]

    # The same bytes again are the same job; the same id with other content is refused.
    (tmp_path / "signed.json").write_text(said(beacon("sign", stdin=job("good", job_id="job-0"))))
    assert said(beacon("submit", str(tmp_path / "signed.json"))) == "job-0\n"
    assert beacon("submit", str(tmp_path / "signed.json")).stderr.startswith("accepted before;")
    said(beacon("watch", "job-0", "--timeout", "60s"))
    other = beacon("submit", str(tmp_path / "job.json"))
    assert other.returncode == Exit.REFUSED
    assert "job_conflict" in other.stderr

    page = json.loads(said(beacon("jobs", "--json", "--status", "completed")))
    listed = [entry["id"] for entry in page["jobs"]]
    assert [job_id for job_id in listed if job_id in ("job-0", "job-1")] == ["job-0", "job-1"]
    assert "job-1" in said(beacon("jobs"))

    shown = said(beacon("show", "job-1", "--answers", "--events"))
    assert "Simulated answer from EU." in shown
    assert "region_finished" in shown
    assert "3 of 3 succeeded, 1 required" in shown
    compared = said(beacon("compare", "job-1"))
    assert compared.count("Simulated answer") == 6
    assert "is done: it ended" in said(beacon("explain", "job-1"))

    rows = json.loads(said(beacon("show", "job-1", "--json")))["executions"]
    assert all(row["has_receipt"] for row in rows)
    check_receipt(beacon, local, rows[0]["execution_id"], tmp_path)


def check_receipt(beacon: Beacon, local: Local, execution: int, tmp_path: Path) -> None:
    import httpx2

    document = httpx2.get(f"{local.api_url}/api/v1/executions/{execution}/details", timeout=60).text
    (tmp_path / "execution.json").write_text(document)
    runner = str(local.home / "runner-keys.json")
    offline = {"BEACON_URL": f"http://127.0.0.1:{free_port()}"}
    genuine = said(beacon("receipt", str(tmp_path / "execution.json"), "--trust", runner, **offline))
    assert "and the output matches it" in genuine
    forged = json.loads(document)
    forged["receipt"]["status"] = "failed"
    (tmp_path / "execution.json").write_text(json.dumps(forged))
    said(beacon("receipt", str(tmp_path / "execution.json"), "--trust", runner), Exit.FAILED)


def test_a_job_that_fails_and_is_retried(beacon: Beacon, regions_file: Path) -> None:
    failed = beacon("submit", "--wait", stdin=job("bad", job_id="job-2", min_regions=3))
    assert failed.returncode == Exit.JOB_FAILED
    assert "EU  bad  q1  failed" in failed.stdout
    assert "[http_400]" in failed.stdout
    told = said(beacon("explain", "job-2"))
    assert "2 of 3 regions succeeded; 3 had to" in told
    assert re.search(r"http_400: \d calls? of bad in EU: ", told)

    # It fails again: the same ending, and one more event.
    retried = beacon("retry", "job-2", "--region", "EU", "--wait")
    assert retried.returncode == Exit.JOB_FAILED
    events = said(beacon("show", "job-2", "--events"))
    assert events.count("retry_requested") == 1
    refused = beacon("retry", "job-2", "--model", "none")
    assert (refused.returncode, refused.stdout) == (Exit.REFUSED, "")
    assert refused.stderr == "beacon retry: The job does not ask this model in these regions (validation_error)\n"
    assert beacon("retry", "job-2", BEACON_TOKEN="x" * 40).returncode == Exit.REFUSED


def test_cancelling_a_slow_job_with_its_own_key(beacon: Beacon, env: dict[str, str]) -> None:
    watching = said(beacon("submit", "--json", stdin=job("slow", job_id="job-3")))
    assert json.loads(watching)["status"] == "queued"
    late = beacon("watch", "job-3", "--timeout", "1s")
    assert late.returncode == Exit.TIMED_OUT
    assert "has not ended within 1 s; it goes on" in late.stderr
    assert "ASIA: 0 of 2 calls are done after " in said(beacon("explain", "job-3"))

    with_key = env["BEACON_KEY"]
    done = said(beacon("cancel", "job-3", "--key", with_key, BEACON_TOKEN=""))
    assert done.startswith("job-3 was running and is cancelled")
    assert beacon("watch", "job-3").returncode == Exit.JOB_CANCELLED
    again = beacon("cancel", "job-3")
    assert again.returncode == Exit.REFUSED
    assert "conflict" in again.stderr


def test_unknown_jobs_and_bad_specs(beacon: Beacon) -> None:
    for command in ("show", "watch", "compare", "explain", "cancel", "retry"):
        unknown = beacon(command, "nobody")
        assert (unknown.returncode, unknown.stdout) == (Exit.REFUSED, "")
        assert unknown.stderr == f"beacon {command}: There is no job nobody (not_found)\n"
    bad = json.loads(job("good")) | {"models": ["unheard-of"]}
    refused = beacon("submit", stdin=json.dumps(bad))
    assert refused.returncode == Exit.REFUSED
    assert "no_provider" in refused.stderr


def test_the_canary(beacon: Beacon, local: Local) -> None:
    targets = str(local.home / "targets.json")
    once = json.loads(said(beacon("canary", "--json", "--metrics", targets, DATABASE_URL=local.database_url)))
    assert once["ok"] is True
    assert once["rates"] == {"rounds": 0, "writes": 0, "pushes": 0, "requests": 0}
    twice = beacon("canary", "--for", "2s", "--every", "1s", "--max-error-rate", "0.01")
    assert said(twice).startswith("rounds: 2; error rates: rounds 0.0000")

    # A model that fails in one region is a canary that died; it ends early and exits 1.
    dead = beacon("canary", "--model", "bad", "--for", "1h", "--every", "1s", "--max-error-rate", "0.0001")
    assert dead.returncode == Exit.FAILED
    assert "status: partial, expected completed" in dead.stderr
    assert dead.stdout.splitlines()[-1] == "above 0.0001: rounds"


def test_verify_and_doctor_beside_a_stack(beacon: Beacon, local: Local, regions_file: Path) -> None:
    said(beacon("submit", "--wait", stdin=job("good")))
    settings = {
        "DATABASE_URL": local.database_url,
        "REDIS_URL": local.servers.redis_url,
        "REGIONS_FILE": str(regions_file),
        "ALLOW_SANDBOX": "1",
        "TRUSTED_KEYS_FILE": local.env["TRUSTED_KEYS_FILE"],
        "ADMIN_TOKENS": local.env["ADMIN_TOKENS"],
    }
    said(beacon("verify", "--signatures", **settings))
    found = {f["subject"]: f for f in json.loads(said(beacon("doctor", "--json", **settings)))}
    levels = {
        name: found[name]["level"] for name in ("postgres", "migrations", "fsync", "eviction", "persistence", "api")
    }
    assert set(levels.values()) == {"ok"}, found
    assert found["receipts"]["level"] == "warning"
    assert found["provider good-us"]["level"] == "warning"
    assert "2 api, 1 publisher, 3 worker" in found["connections"]["text"]

    # What is missing or wrong is an error with the way out, and the exit code says so.
    broken = beacon(
        "doctor", "--json", **settings | {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "REGIONS_FILE": "none"}
    )
    errors = {f["subject"]: f["text"] for f in json.loads(said(broken, Exit.FAILED)) if f["level"] == "error"}
    assert set(errors) == {"redis", "regions"}
    assert "check REDIS_URL" in errors["redis"]


def test_watch_draws_a_grid_on_a_terminal(beacon: Beacon, env: dict[str, str]) -> None:
    said(beacon("submit", stdin=job("good", "slow", job_id="job-4")))
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "runner_cli", "watch", "job-4"]
    with subprocess.Popen(
        command, env=env | {"COLUMNS": "100", "TERM": "xterm"}, stdout=child, stderr=subprocess.PIPE
    ) as watching:
        os.close(child)
        screen = b""
        while b"4/6 units" not in screen and b"5/6 units" not in screen:
            ready, _, _ = select.select([parent], [], [], 30)
            assert ready, screen
            screen += os.read(parent, 65536)
        watching.send_signal(signal.SIGINT)  # stops watching, not the job
        os.set_blocking(parent, True)
        try:
            while os.read(parent, 65536):
                pass
        except OSError:  # EIO: the terminal's other end is closed
            pass
        assert watching.wait() == Exit.INTERRUPTED
    os.close(parent)
    text = screen.decode()
    assert "✓" in text
    assert "running" in text
    assert json.loads(said(beacon("show", "job-4", "--json")))["status"] == "running"
