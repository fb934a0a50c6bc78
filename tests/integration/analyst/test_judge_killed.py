"""A worker process with a judge, killed by SIGKILL at each of the judge's steps, under the worker's own login."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_cli.local import login_urls, set_passwords
from runner_core.regions import load_catalogue
from tests.jobs import one, query, until
from tests.loopback_regions import write_regions
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]
End = Callable[..., str]
Start = Callable[..., "subprocess.Popen[str]"]
JUDGE = '\n[analysis.judge]\nprovider = "provider-us"\nmodel = "m1"\n'
DUE = 8
LABELS = "SELECT count(*) FROM answer_labels WHERE source = 'judge'"


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as made:
        made.add_rule(text="hard_refusal")
        yield made


@pytest.fixture
def regions_file(tmp_path: Path, provider: ProviderServer) -> Path:
    folder = tmp_path / "judged"
    folder.mkdir()
    path = write_regions(folder / "regions.toml", provider.url)
    path.write_text(path.read_text() + JUDGE)
    return path


@pytest.fixture
def start(home: Path, database_url: str, redis_url: str, regions_file: Path) -> Iterator[Start]:
    """Starts a worker of the region US with these variables added; it ends with the test."""
    set_passwords(home, database_url)
    own = {"DATABASE_URL": login_urls(home, database_url)["DATABASE_URL_WORKER"], "REDIS_URL": redis_url}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_URL", "BEACON_"))}
    more = {"REGIONS_FILE": str(regions_file), "PROBE_SECONDS": "0", "BEACON_TEST": "1"}
    started: list[subprocess.Popen[str]] = []

    def begin(**env: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "runner_worker", "--region", "US"]
        started.append(
            subprocess.Popen(
                command, env=kept | own | more | env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("point", "requests", "calls"),
    [("judge.held", DUE + 1, DUE), ("judge.answered", DUE + 1, DUE + 1), ("judge.stored", DUE, DUE)],
)
def test_each_answer_has_one_judgement_and_one_call_at_most_is_paid_twice(
    point: str,
    requests: int,
    calls: int,
    start: Start,
    ended: End,
    conn: Conn,
    provider: ProviderServer,
    regions_file: Path,
    tmp_path: Path,
) -> None:
    job_id = ended(questions=("q1", "q2"), runs=2)
    killed = start(BEACON_FAILPOINT=f"{point}=kill@{tmp_path}/killed")
    assert killed.wait(60) == -signal.SIGKILL, killed.communicate()[0][-4000:]
    assert len(provider.calls) == (point != "judge.held")
    assert one(conn, "SELECT sum(requests) FROM judgements") == 1, "counted before it was sent"
    conn.execute(b"UPDATE judgements SET open_at = clock_timestamp() WHERE open_at > clock_timestamp()")
    again = start(BEACON_FAILPOINT=f"{point}=kill@{tmp_path}/killed")
    until(lambda: one(conn, LABELS) == DUE, 60)
    again.send_signal(signal.SIGTERM)
    assert again.wait(60) == 0
    judge = load_catalogue(regions_file, allow_sandbox=False).judge
    assert judge
    rows = query(conn, "SELECT * FROM judgements")
    assert {r["answer_id"] for r in rows} == {r["id"] for r in query(conn, "SELECT id FROM answers")}
    assert {(r["judge"], r["job_id"], r["reply"], r["category"], r["open_at"]) for r in rows} == {
        (judge.id, job_id, "hard_refusal", "hard_refusal", None)
    }
    assert sorted(r["requests"] for r in rows) == [1] * (DUE - 1) + [1 + requests - DUE]
    assert len(provider.calls) == calls
    assert {r["actor"] for r in query(conn, "SELECT actor FROM answer_labels")} == {judge.actor}
