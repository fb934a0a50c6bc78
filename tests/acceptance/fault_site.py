"""A running stack whose provider is a real HTTP server that misbehaves to order, with short words for tests."""

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from runner_cli.local import Local
from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.http_requests import request
from tests.jobs import one, query, until
from tests.loopback_regions import MODELS, write_regions
from tests.provider_server import Call, ProviderServer

NANOSECONDS = 1_000_000_000
TERMINAL = ("completed", "failed", "cancelled")
# For tests that wait until a lease runs out: a worker that the machine does not run for two seconds keeps its leases.
SHORT_LEASES = {"LEASE_SECONDS": "3", "HEARTBEAT_SECONDS": "0.5"}


@dataclass
class Site:
    """`conn` is the database owner's, in autocommit; `calls` reads the provider's own log."""

    local: Local
    provider: ProviderServer
    conn: "psycopg.Connection[Any]"
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000_000)))

    def spec(
        self, *regions: str, questions: tuple[str, ...] = ("q1",), models: int = 1, timeout_seconds: float = 30.0
    ) -> dict[str, Any]:
        """A signed job; its id is in each question, so that the calls of a job can be found in the provider's log."""
        name = f"job-{next(self._numbers)}"
        return sign(
            {
                "id": name,
                "version": "v1",
                "benchmark": {"name": "faults", "container": {"image": "x"}, "input": {"hash": "sha256:placeholder"}},
                "constraints": {
                    "regions": list(regions or ("US",)),
                    "timeout": int(timeout_seconds * NANOSECONDS),
                    "provider_timeout": int(timeout_seconds / 2 * NANOSECONDS),
                },
                "questions": [f"{name} {question}" for question in questions],
                "models": list(MODELS[:models]),
                "metadata": {"timestamp": datetime.now(UTC).isoformat(), "nonce": name},
            },
            PrivateKey.load(self.local.signing_key),
        )

    def post(self, spec: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Send it once, under a key of its own; status 0 when the API went away."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"key-{spec['id']}"}
        return request("POST", f"{self.local.api_url}/api/v1/jobs", json.dumps(spec).encode(), headers)

    def submit(self, *regions: str, **shape: Any) -> str:
        """Submit a job that must be accepted; its id."""
        status, answer = self.post(self.spec(*regions, **shape))
        assert status == 202, answer
        return str(answer["job_id"])

    def cancel(self, job_id: str) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.local.admin_token}", "Content-Type": "application/json"}
        return request("POST", f"{self.local.api_url}/api/v1/jobs/{job_id}/cancel", b"{}", headers)

    def job(self, job_id: str) -> dict[str, Any]:
        """The job with its rows, as clients see it; {} while the API is away."""
        status, job = request("GET", f"{self.local.api_url}/api/v1/jobs/{job_id}?include=executions")
        return job if status == 200 else {}

    def ended(self, job_id: str, seconds: float = 30.0) -> dict[str, Any]:
        """Wait for the job's end."""
        until(lambda: one(self.conn, "SELECT status FROM jobs WHERE id = %s", job_id) in TERMINAL, seconds)
        return until(lambda: self.job(job_id))

    def calls(self, *words: str) -> list[Call]:
        """The calls whose prompt contains every word."""
        return [call for call in list(self.provider.calls) if all(w in prompt(call).split() for w in words)]

    def called(self, *words: str, count: int = 1) -> list[Call]:
        """Wait for that many such calls."""
        until(lambda: len(self.calls(*words)) >= count)
        return self.calls(*words)

    def run(self, job_id: str, region: str = "US") -> dict[str, Any]:
        """The region's run, {} before its first claim."""
        found = query(self.conn, "SELECT * FROM region_runs WHERE job_id = %s AND region = %s", job_id, region)
        return found[0] if found else {}

    def holder(self, job_id: str, region: str = "US") -> int:
        """The pid of the worker that holds the region; it is the third part of its name from the end."""
        until(lambda: self.run(job_id, region).get("lease_token"))
        return int(self.run(job_id, region)["worker"].rsplit("-", 2)[1])

    def events(self, job_id: str, kind: str) -> list[dict[str, Any]]:
        return query(self.conn, "SELECT * FROM job_events WHERE job_id = %s AND type = %s ORDER BY seq", job_id, kind)

    def happened(self, job_id: str, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many events of this kind are in the job's timeline; all of them."""
        until(lambda: len(self.events(job_id, kind)) >= count)
        return self.events(job_id, kind)

    def metric(self, kind: str, name: str) -> float:
        """A counter of every process of this kind, added up."""
        total = 0.0
        for process in self.local.stack.processes():
            if process.kind == kind:
                port = process.env["PORT" if kind == "api" else "METRICS_PORT"]
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                    lines = page.read().decode().splitlines()
                total += sum(float(line.split()[-1]) for line in lines if line.startswith(name))
        return total

    def stored_rows(self) -> dict[str, list[dict[str, Any]]]:
        """Everything that a late write could change."""
        tables = ("jobs", "executions", "answers", "job_events", "region_runs")
        return {table: query(self.conn, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables}  # noqa: S608


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that does not run meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def site(
    stack: Callable[..., Local],
    home: Path,
    conn: "psycopg.Connection[Any]",
    env: dict[str, str] | None = None,
    *,
    width: int = 64,
    key_env: str = "",
    **counts: int,
) -> Iterator[Site]:
    """Start only the processes that are counted, beside one API and one publisher, with the default leases."""
    with ProviderServer() as provider:
        regions = write_regions(home / "regions.toml", provider.url, width, key_env)
        only = {"worker_us": 0, "worker_eu": 0, "worker_asia": 0} | counts
        local = stack(env={"REDIS_TIMEOUT_SECONDS": "1", "REGIONS_FILE": str(regions), **(env or {})}, **only)
        try:
            yield Site(local, provider, conn)
        finally:
            provider.set_rules([])
            provider.release()


def at_once(works: list[Callable[[], Any]]) -> list[Any]:
    """Do all of it at the same time; the results in order."""
    results: list[Any] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def one_of(number: int) -> None:
        barrier.wait()
        results[number] = works[number]()

    threads = [threading.Thread(target=one_of, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def prompt(call: Call) -> str:
    return str(call.body["messages"][-1]["content"]) if call.body else ""


Build = Callable[..., AbstractContextManager[Site]]
