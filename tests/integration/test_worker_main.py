"""The worker as the Procfile starts it, and RQ's own worker on the same queue, with the real engine and database."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbox_publisher.relay import publish_batch
from runner_cli.child import free_port
from runner_core.db import Database
from runner_core.settings import Settings
from runner_queue.broker import Broker
from tests.cells import CELL
from tests.jobs import submission, submit

REGIONS = Path(__file__).parents[2] / "regions" / "sandbox.toml"
PATIENCE_SECONDS = 60.0


@pytest.fixture
def env(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "REGIONS_FILE": str(REGIONS),
        "ALLOW_SANDBOX": "1",
        "BEACON_TEST": "1",
        "PROBE_SECONDS": "0",
    }


@pytest.fixture
def publish(env: dict[str, str]) -> Iterator[Callable[..., None]]:
    """Stores a job as the API does and publishes it as the publisher does."""
    settings = Settings.from_env(env)
    db, broker = Database(settings, "test").open(), Broker(settings)

    def store(job_id: str, regions: list[str], models: list[str]) -> None:
        submit(db, submission(job_id, regions=regions, models=models, questions=("math_basic",)))
        while publish_batch(db, broker):
            pass

    yield store
    broker.close()
    db.close()


@pytest.fixture
def start(env: dict[str, str]) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    processes = []

    def make(*command: str, **more: str) -> "subprocess.Popen[str]":
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**env, **more},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return processes[-1]

    yield make
    for process in processes:
        process.kill()
        process.communicate()


def until_status(conn: "psycopg.Connection[Any]", status: str, process: "subprocess.Popen[str]", jobs: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while conn.execute("SELECT count(*) FROM jobs WHERE status = %s", [status]).fetchone() != (jobs,):
        assert time.monotonic() < deadline, conn.execute("SELECT * FROM region_runs").fetchall()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            pytest.fail(process.communicate()[0][-4000:])


def test_a_worker_runs_its_region_and_leaves_on_a_signal(
    publish: Callable[..., None],
    start: Callable[..., "subprocess.Popen[str]"],
    conn: "psycopg.Connection[Any]",
) -> None:
    port = free_port()
    us = start("runner_worker", "--region", "us-east", METRICS_PORT=str(port))
    eu = start("runner_worker", "--region", "EU", "--concurrency", "2", "--claim-batch", "1")
    for number in range(20):
        publish(f"job-{number}", ["US", "EU"], ["smollm2-135m", "sandbox-refuser"])
    until_status(conn, "completed", us, jobs=20)
    workers = conn.execute("SELECT region, concurrency FROM processes WHERE kind = 'worker' ORDER BY 1").fetchall()
    assert workers == [("EU", 2), ("US", 256)]
    assert conn.execute("SELECT count(*), count(DISTINCT receipt) FROM executions").fetchone() == (80, 0)
    counted = 'runner_execution_duration_seconds_count{region="US",status="completed"} 40.0'
    deadline = time.monotonic() + PATIENCE_SECONDS
    while counted not in urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode():
        assert time.monotonic() < deadline  # they are counted just after the commit that ended the jobs
    for process in (us, eu):
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0, process.communicate()[0]
    assert conn.execute("SELECT count(*) FROM processes WHERE kind = 'worker'").fetchone() == (0,)


@pytest.mark.parametrize("kind", ["rq.worker.Worker", "rq.worker.SimpleWorker"])
def test_rqs_own_worker_serves_the_same_queue(
    kind: str,
    env: dict[str, str],
    publish: Callable[..., None],
    start: Callable[..., "subprocess.Popen[str]"],
    conn: "psycopg.Connection[Any]",
) -> None:
    publish("job-1", ["US"], ["smollm2-135m"])
    publish("job-2", ["US"], ["smollm2-135m"])
    options = ("--url", env["REDIS_URL"], "--serializer", "json", "--job-class", "runner_worker.job.RegionJob")
    stock = start("rq.cli", "worker", *options, "--worker-class", kind, CELL.queue("beacon-us"))
    until_status(conn, "completed", stock, jobs=2)
    stock.send_signal(signal.SIGTERM)
    said = stock.communicate(timeout=PATIENCE_SECONDS)[0]
    assert (stock.returncode, "Successfully completed US job-1" in said) == (0, True), said


@pytest.mark.parametrize(
    ("arguments", "more", "code", "says"),
    [
        (["--region", "MARS"], {}, 2, "--region 'MARS' is not a region of REGIONS_FILE; the regions are US, EU, ASIA"),
        ([], {}, 2, "--region"),
        (["--region", "US", "--concurrency", "0"], {}, 2, "must be 1 or more"),
        (["--region", "US"], {"REDIS_URL": ""}, 2, "REDIS_URL is not set"),
        (["--region", "US"], {"REGIONS_FILE": "/nowhere.toml"}, 2, "/nowhere.toml can't be read"),
        (["--region", "US"], {"RECEIPT_KEY_FILE": "/nowhere.pem"}, 2, "/nowhere.pem can't be read"),
        (["--region", "US"], {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, 1, "database"),
    ],
)
def test_a_start_that_cannot_work_says_why(
    arguments: list[str],
    more: dict[str, str],
    code: int,
    says: str,
    start: Callable[..., "subprocess.Popen[str]"],
) -> None:
    process = start("runner_worker", *arguments, **more)
    output = process.communicate(timeout=PATIENCE_SECONDS)[0]
    assert (process.returncode, says in output) == (code, True), output
    assert "Traceback" not in output


@pytest.mark.parametrize("arguments", [("runner_worker", "--region", "US"), ("runner_worker", "--region", "MARS")])
def test_every_mistake_of_a_worker_is_told_in_one_message(
    arguments: tuple[str, ...], start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    """Those of the settings, of the regions file, of the providers' keys, of the receipt's key and of the region."""
    regions = tmp_path / "regions.toml"
    provider = 'id = "us-model"\nregion = "US"\nkind = "openai"\nbase_url = "http://h/v1"\napi_key_env = "US_ABSENT"\n'
    regions.write_text(f'{REGIONS.read_text()}\n[[providers]]\n{provider}models = {{ m = "m" }}\n')
    wrong = {"LOG_JSON": "perhaps", "CLAIM_BATCH": "x", "REDIS_URL": "nothing", "RECEIPT_KEY_FILE": "/nowhere.pem"}
    process = start(*arguments, **wrong, REGIONS_FILE=str(regions))
    output = process.communicate(timeout=PATIENCE_SECONDS)[0]
    told = ["LOG_JSON", "CLAIM_BATCH", "REDIS_URL", "/nowhere.pem"]
    told.append("--region 'MARS' is not a region of" if "MARS" in arguments else "US_ABSENT")
    assert (process.returncode, [text for text in told if text not in output]) == (2, []), output
    process = start(*arguments, **wrong, REGIONS_FILE="/nowhere.toml")
    output = process.communicate(timeout=PATIENCE_SECONDS)[0]
    assert [text for text in (*told[:-1], "/nowhere.toml") if text not in output] == [], output


@pytest.mark.parametrize(
    ("arguments", "said"), [(("runner_worker", "--region", "US"), "worker started"), (("runner_api",), "Listening at:")]
)
def test_no_line_has_the_key_of_a_provider_whatever_its_variable_is_called(
    arguments: tuple[str, ...],
    said: str,
    start: Callable[..., "subprocess.Popen[str]"],
    tmp_path: Path,
) -> None:
    """The key is a part of a line that each start writes; it is another region's, whose variable may be there too."""
    provider = {"id": "eu-model", "region": "EU", "kind": "openai", "base_url": "http://127.0.0.1:1/v1"}
    lines = [f'{name} = "{value}"' for name, value in {**provider, "api_key_env": "EU_CREDENTIAL"}.items()]
    regions = tmp_path / "regions.toml"
    regions.write_text(REGIONS.read_text() + "\n[[providers]]\n" + "\n".join(lines) + '\nmodels = { m = "m" }\n')
    more = {"REGIONS_FILE": str(regions), "TRUST_ENFORCE": "0", "PORT": str(free_port()), "WEB_CONCURRENCY": "1"}
    process = start(*arguments, EU_CREDENTIAL=said, **more)
    assert process.stdout
    line = next(line for line in process.stdout if "[secret]" in line or said in line)
    assert said not in line


@pytest.mark.parametrize("arguments", [("runner_worker", "--region", "US"), ("outbox_publisher",)])
def test_a_port_for_metrics_that_is_taken_is_named(
    arguments: tuple[str, ...], start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = start(*arguments, METRICS_PORT=str(port))
        output = process.communicate(timeout=PATIENCE_SECONDS)[0]
    said = f"METRICS_PORT {port} of 127.0.0.1 can't be used (Address already in use): set METRICS_PORT to another"
    assert (process.returncode, said in output, "Traceback" in output) == (2, True, False), output
