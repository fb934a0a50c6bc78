"""/health/live and /health/ready of the real processes, while servers go away and come back and a loop is held."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from outbox_publisher.relay import publish_batch
from runner_cli.child import free_port
from runner_queue.broker import Broker
from tests.jobs import opened, settings_for, submission, submit, until
from tests.proxy import Proxy

COMMANDS = {
    "publisher": ("outbox_publisher",),
    "worker": ("runner_worker", "--region", "US"),
    "analyst": ("runner_analyst",),
}
LOOPS = {
    "publisher": ["heartbeat", "relay", "sweeper", "gauges"],
    "worker": ["engine", "writes", "leases", "queue", "heartbeat"],
    "analyst": ["analyst", "heartbeat"],
}
PATIENCE_SECONDS = 60


class Process:
    """A process, and what its port says."""

    def __init__(self, started: "subprocess.Popen[bytes]", port: int) -> None:
        self.started, self._port = started, port

    def asked(self, check: str) -> tuple[int, dict[str, Any]]:
        """The status and the answer of /health/<check>; 0 while nothing listens, or while the process has no time."""
        try:
            answer = httpx2.get(f"http://127.0.0.1:{self._port}/health/{check}", timeout=10)
        except httpx2.TransportError:
            return 0, {}
        return answer.status_code, answer.json()

    def until(self, check: str, status: int) -> dict[str, Any]:
        """The first answer of /health/<check> with this status."""
        answers: list[tuple[int, dict[str, Any]]] = []

        def has_come() -> bool:
            answers.append(self.asked(check))
            return answers[-1][0] == status

        until(has_come, PATIENCE_SECONDS)
        return answers[-1][1]

    def problems(self) -> set[str]:
        return {loop["problem"] for loop in self.asked("ready")[1]["loops"] if loop["problem"]}


Start = Callable[..., Process]


@pytest.fixture
def postgres(database_url: str) -> Iterator[Proxy]:
    at = psycopg.conninfo.conninfo_to_dict(database_url)
    with Proxy(str(at["host"]), int(str(at["port"]))) as proxy:
        yield proxy


@pytest.fixture
def redis(redis_url: str) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", int(redis_url.rpartition(":")[2].partition("/")[0])) as proxy:
        yield proxy


@pytest.fixture
def start(database_url: str, redis_url: str, postgres: Proxy, redis: Proxy) -> Iterator[Start]:
    """Starts a process behind the proxies; it ends with the test."""
    started: list[subprocess.Popen[bytes]] = []
    port_of = {"DATABASE_URL": (database_url, postgres.port), "REDIS_URL": (redis_url, redis.port)}

    def begin(kind: str, **env: str) -> Process:
        port = free_port()
        own = {name: with_port(url, behind) for name, (url, behind) in port_of.items()}
        own |= {"BEACON_TEST": "1", "ALLOW_SANDBOX": "1", "METRICS_PORT": str(port), "REDIS_TIMEOUT_SECONDS": "1"}
        own["REGIONS_FILE"] = str(Path(__file__).parents[2] / "regions/sandbox.toml")
        command = [sys.executable, "-m", *COMMANDS[kind]]
        started.append(subprocess.Popen(command, env=os.environ | own | env))
        return Process(started[-1], port)

    yield begin
    for process in started:
        process.kill()
        process.wait()


def with_port(url: str, port: int) -> str:
    """`url` with another port."""
    head, _, tail = url.rpartition(":")
    return f"{head}:{port}/{tail.partition('/')[2]}"


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_server_that_is_away_is_no_reason_to_restart(kind: str, start: Start, postgres: Proxy, redis: Proxy) -> None:
    process = start(kind)
    ready = process.until("ready", 200)
    assert [loop["name"] for loop in ready["loops"]] == LOOPS[kind]
    postgres.refuse()
    process.until("ready", 503)
    assert any(problem.startswith("PostgreSQL refused or did not answer") for problem in process.problems())
    assert process.asked("live")[0] == 200
    postgres.heal()
    process.until("ready", 200)
    if kind == "analyst":
        return
    redis.refuse()
    process.until("ready", 503)
    assert process.problems() == {"Redis refused or did not answer"}
    assert process.asked("live")[0] == 200
    redis.heal()
    process.until("ready", 200)


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_process_that_waits_for_its_database_starts(kind: str, start: Start, postgres: Proxy) -> None:
    postgres.refuse()
    process = start(kind)
    assert process.until("live", 200) == {"status": "alive", "loops": []}
    assert process.asked("ready") == (503, {"status": "starting", "loops": []})
    postgres.heal()
    process.until("ready", 200)


def test_a_loop_that_hangs_is_stalled_while_the_others_turn(start: Start, database_url: str, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.touch()
    process = start("publisher", BEACON_FAILPOINT=f"publisher.pushed=hold@{held}", STALL_SECONDS="8")
    process.until("ready", 200)
    with opened(settings_for(database_url)) as db:
        submit(db, submission())
    stalled = process.until("live", 503)
    ages = {loop["name"]: loop["seconds_since_turn"] for loop in stalled["loops"]}
    assert ages["relay"] >= 8 > max(ages["heartbeat"], ages["sweeper"], ages["gauges"])
    assert process.asked("ready")[1]["status"] == "not_ready"
    held.unlink()
    process.until("ready", 200)


def test_a_worker_whose_answers_are_written_no_more_is_stalled(
    start: Start, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """The thread that writes is stuck; everything else turns."""
    held = tmp_path / "held"
    held.touch()
    process = start("worker", BEACON_FAILPOINT=f"worker.recorded=hold@{held}", STALL_SECONDS="8")
    process.until("ready", 200)
    with opened(settings_for(database_url, redis_url)) as db:
        submit(db, submission(regions=("US",)))
        broker = Broker(db.settings)
        assert publish_batch(db, broker) == 1
        broker.close()
    process.until("ready", 503)
    assert process.problems() == {"PostgreSQL does not take the answers that this worker holds"}
    stalled = process.until("live", 503)
    ages = {loop["name"]: loop["seconds_since_turn"] for loop in stalled["loops"]}
    assert ages.pop("writes") >= 8 > max(ages.values())
    held.unlink()
    process.until("live", 200)


def test_a_worker_that_ends_is_alive_and_not_ready(start: Start) -> None:
    process = start("worker")
    process.until("ready", 200)
    process.started.send_signal(signal.SIGTERM)
    assert process.started.wait(PATIENCE_SECONDS) == 0
