"""A worker process serves a job over a kind of provider that another distribution brings, and outlives its mistakes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.foreign_kinds import ECHO, install, installed
from tests.integration.api_client import Api
from tests.jobs import until
from tests.publishing import publish

REGIONS = """
default_model = "m1"
[questions]
whole = "Who?"
mistake = "break"
[regions.US]
display = "US"
[[providers]]
id = "echo-us"
region = "US"
kind = "echo"
models = { m1 = "up" }
"""


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Path]:
    """A folder with the distribution, which this process finds: the API of the tests runs in it."""
    with installed(tmp_path, "beacon-test-echo", ECHO, {"echo": "Echo"}, way=install):
        yield tmp_path


def test_a_worker_serves_it(make_api: Callable[..., Api], redis_url: str, database_url: str, echo: Path) -> None:
    file = echo / "asked.toml"
    file.write_text(REGIONS)
    api = make_api(REGIONS_FILE=str(file))
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(echo), os.environ.get("PYTHONPATH")))),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "REGIONS_FILE": str(file),
        "PROBE_SECONDS": "0",
    }
    log = echo / "worker.log"
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "runner_worker", "--region", "US"], env=env, stdout=out, stderr=out
        )
    try:
        for number in (1, 2):  # the second job finds the worker alive
            api.submit(constraints={"regions": ["US"]}, models=["m1"], questions=["whole", "mistake"])
            publish(env)
            until(lambda done=number: api.sql("SELECT count(*) FROM jobs WHERE status = 'completed'")[0][0] == done)
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0, log.read_text()
    rows = api.sql(
        "SELECT question_id, status, output ->> 'response', error ->> 'code' FROM answers ORDER BY 1, run_no"
    )
    assert [tuple(row) for row in rows] == [("mistake", "failed", None, "adapter_failed")] * 2 + [
        ("whole", "ok", "?ohW\ufffd", None)
    ] * 2
    assert log.read_text().count("RuntimeError: the adapter has a mistake") == 2
