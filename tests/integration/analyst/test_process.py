"""The analyst's process: killed at any moment, stopped by a signal, ended as a whole when its work breaks."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import runner_analyst.__main__ as process
from runner_analyst.analyst import METHOD_ID, Analyst
from runner_core.db import Database
from runner_core.refusals.scored import MODEL
from tests.integration.analyst.conftest import stored
from tests.jobs import one, until

Conn = psycopg.Connection[Any]
End = Callable[..., str]
Start = Callable[..., "subprocess.Popen[str]"]
ALIVE = "SELECT count(*) FROM processes WHERE kind = 'analyst'"
POINTS = ("analyst.read", "analyst.computed", "analyst.stored")


@pytest.fixture
def start(database_url: str) -> Iterator[Start]:
    """Starts an analyst with these variables added; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(**env: str) -> "subprocess.Popen[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_URL", "BEACON_"))}
        command = [sys.executable, "-m", "runner_analyst"]
        own = kept | {"DATABASE_URL": database_url} | env
        made = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(made)
        return made

    yield begin
    for made in started:
        made.kill()
        made.communicate()


@pytest.fixture
def handlers() -> Iterator[None]:
    """The test's own signal handlers are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_the_job_due_or_done(point: str, start: Start, ended: End, conn: Conn, tmp_path: Path) -> None:
    job_id = ended()
    killed = start(BEACON_FAILPOINT=f"{point}=kill@{tmp_path}/killed")
    assert killed.wait(60) == -signal.SIGKILL
    assert len(stored(conn)) == (point == "analyst.stored")
    again = start(BEACON_FAILPOINT=f"{point}=kill@{tmp_path}/killed")
    until(lambda: len(stored(conn)) == 1, 60)
    other = ended()
    until(lambda: {row["job_id"] for row in stored(conn)} == {job_id, other}, 60)
    again.send_signal(signal.SIGTERM)
    assert again.wait(60) == 0
    assert {row["method"].removesuffix(f"+{MODEL}") for row in stored(conn)} == {METHOD_ID}
    assert len(stored(conn)) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_does_not_wait_for_a_computation(
    number: signal.Signals, start: Start, ended: End, conn: Conn, tmp_path: Path
) -> None:
    ended()
    held = tmp_path / "held"
    held.touch()
    running = start(BEACON_FAILPOINT=f"analyst.computed=hold@{held}")
    until(lambda: one(conn, ALIVE) == 1, 60)
    running.send_signal(number)
    assert running.wait(60) == 0, "the computation has not ended"
    assert stored(conn) == []


def test_it_runs_at_the_lowest_priority(start: Start, conn: Conn) -> None:
    running = start()
    until(lambda: one(conn, ALIVE) == 1, 60)
    assert os.getpriority(os.PRIO_PROCESS, running.pid) == 19


def test_a_mistake_in_the_configuration_ends_it_with_2(start: Start) -> None:
    broken = start(DATABASE_URL="", METRICS_PORT="x")
    output = broken.communicate(timeout=60)[0]
    assert broken.returncode == 2
    assert "DATABASE_URL is not set" in output
    assert "METRICS_PORT" in output


def test_a_database_without_its_schema_ends_it_with_1(start: Start, empty_database_url: str) -> None:
    unready = start(DATABASE_URL=empty_database_url, PROBE_SECONDS="0")
    output = unready.communicate(timeout=60)[0]
    assert unready.returncode == 1
    assert "run `beacon migrate`" in output


@pytest.mark.usefixtures("handlers")
def test_work_that_breaks_ends_the_process(
    db: Database, conn: Conn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: object) -> int:
        until(lambda: one(conn, ALIVE) == 1)
        raise LookupError("a mistake of ours")

    monkeypatch.setattr(process.Analyst, "analyse_due", broken)
    assert process.serve(db, Analyst(db)) == 1
    assert "unexpected error" in caplog.text
    assert one(conn, ALIVE) == 0, "its row is gone"
    assert "analyst" not in {thread.name for thread in threading.enumerate()}


def test_it_goes_on_when_the_database_comes_back(monkeypatch: pytest.MonkeyPatch, db: Database) -> None:
    stopped = threading.Event()
    asked: list[int] = []

    def away(self: object) -> int:
        asked.append(1)
        if len(asked) < 3:
            raise psycopg.OperationalError("away")
        stopped.set()
        return 0

    monkeypatch.setattr(process.Analyst, "analyse_due", away)
    process.work(Analyst(db), stopped)
    assert len(asked) == 3
