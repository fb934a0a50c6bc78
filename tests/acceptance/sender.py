"""Signed jobs of the shipped simulated regions, sent over HTTP to a running stack."""

import itertools
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import psycopg

from runner_cli.local import Local
from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.http_requests import request
from tests.jobs import one, until

REGIONS = ("US", "EU", "ASIA")
_numbers = itertools.count(1)


def job(local: Local, *regions: str, models: tuple[str, ...] = ("smollm2-135m",), **more: Any) -> dict[str, Any]:
    """A job that this stack trusts; `more` are fields of the spec."""
    name = f"sent-{next(_numbers)}"
    spec = {
        "id": name,
        "version": "v1",
        "benchmark": {"name": "acceptance", "container": {"image": "x"}, "input": {"hash": "sha256:placeholder"}},
        "constraints": {"regions": list(regions or REGIONS)},
        "questions": ["math_basic"],
        "models": list(models),
        "metadata": {"timestamp": datetime.now(UTC).isoformat(), "nonce": name},
    }
    return sign(spec | more, PrivateKey.load(local.signing_key))


def post(local: Local, spec: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    """Submit it once; underscores in header names stand for hyphens."""
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return request("POST", f"{local.api_url}/api/v1/jobs", json.dumps(spec).encode(), sent)


def submit(local: Local, spec: dict[str, Any]) -> str:
    """Submit what must be accepted; its id."""
    status, answer = post(local, spec)
    assert status == 202, answer
    return str(answer["job_id"])


def act(local: Local, job_id: str, action: str) -> tuple[int, dict[str, Any]]:
    """Cancel or retry it as the administrator."""
    headers = {"Authorization": f"Bearer {local.admin_token}", "Content-Type": "application/json"}
    return request("POST", f"{local.api_url}/api/v1/jobs/{job_id}/{action}", b"{}", headers)


def wait_for_all(conn: "psycopg.Connection[Any]", seconds: float = 60.0) -> None:
    """Wait until no job is open."""
    open_jobs = "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')"
    until(lambda: one(conn, open_jobs) == 0, seconds)


def verify(local: Local) -> list[dict[str, Any]]:
    """The invariants that `beacon verify` finds broken, receipts and signatures among them."""
    done = subprocess.run(
        [sys.executable, "-m", "runner_cli", "verify", "--json", "--signatures"],
        env=local.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    verdicts: list[dict[str, Any]] = json.loads(done.stdout)
    broken = [verdict for verdict in verdicts if verdict["broken"]]
    assert done.returncode == (1 if broken else 0), done.stderr
    return broken
