"""One trace through API, publisher, worker and provider, each a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.cells import CELL
from tests.integration.api_client import Api, as_role
from tests.integration.server import Server
from tests.jobs import until
from tests.provider_server import ProviderServer

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"

REGIONS = """\
default_model = "m1"
[questions]
q1 = "What is one?"
q2 = "What is two?"
[regions.US]
[regions.EU]
[[providers]]
id = "p-us"
region = "US"
kind = "openai"
base_url = "{url}/v1"
models = {{ m1 = "m1" }}
[[providers]]
id = "p-eu"
region = "EU"
kind = "openai"
base_url = "{url}/v1"
models = {{ m1 = "m1" }}
"""


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    server = ProviderServer()
    yield server
    server.close()


# Statements about jobs. The others are about processes.
AUDITED = tuple(f"DB_AUDIT {table}." for table in ("jobs", "outbox", "region_runs", "answers", "executions"))


def test_one_trace_from_the_client_to_the_provider(
    api: Api, redis_url: str, provider: ProviderServer, tmp_path: Path
) -> None:
    regions = tmp_path / "traced.toml"
    regions.write_text(REGIONS.format(url=provider.url))
    env = {
        **api.env,
        "REGIONS_FILE": str(regions),
        "REDIS_URL": redis_url,
        "LOG_JSON": "1",
        "DB_AUDIT": "1",
        "BEACON_TEST": "1",
        "DATABASE_URL_PUBLISHER": as_role(api.owner_url, CELL.login("publisher")),
        "DATABASE_URL_WORKER": as_role(api.owner_url, CELL.login("worker")),
    }
    logs = {name: tmp_path / f"{name}.log" for name in ("publisher", "US", "EU")}
    commands = {
        "publisher": ["outbox_publisher"],
        "US": ["runner_worker", "--region", "US"],
        "EU": ["runner_worker", "--region", "EU"],
    }
    with ExitStack() as stop:
        server = Server(env, tmp_path)
        stop.callback(server.kill)
        processes = []
        for name, command in commands.items():
            with logs[name].open("wb") as log, (tmp_path / f"{name}.err").open("wb") as errors:
                process = subprocess.Popen(
                    [sys.executable, "-m", *command], env=env | {"PATH": os.environ["PATH"]}, stdout=log, stderr=errors
                )
            processes.append(process)
            stop.callback(process.wait)
            stop.callback(process.kill)
        spec = api.job()
        answer = httpx2.post(f"{server.wait().url}/api/v1/jobs", json=spec, headers={"traceparent": PARENT})
        assert answer.status_code == 202, answer.text
        job_id = spec["id"]
        until(lambda: api.sql("SELECT 1 FROM jobs WHERE id = %s AND status = 'completed'", job_id))
        for process in processes:
            process.terminate()
            process.wait(20)
        assert server.stop() == 0

    def lines(path: Path) -> list[dict[str, Any]]:
        """Every line of a process is one JSON object, gunicorn's own among them."""
        return [json.loads(line) for line in path.read_text().splitlines()]

    assert [(tmp_path / f"{name}.err").read_text() for name in commands] == [""] * 3, "logs go to stdout"
    logs["api"] = server.log
    about = {name: [line for line in lines(path) if job_id in json.dumps(line)] for name, path in logs.items()}
    assert [line for found in about.values() for line in found if line.get("trace_id") != TRACE] == []
    audited = [line for path in logs.values() for line in lines(path) if line["message"].startswith(AUDITED)]
    assert {line["message"].split()[1] for line in audited} >= {"outbox.mark", "region_runs.claim", "answers.finish"}
    assert {line.get("trace_id") for line in audited} == {TRACE}, "whole batches too, when they are of one job"
    messages = {name: [line["message"].split(" ")[0] for line in found] for name, found in about.items()}
    assert "DB_AUDIT" in messages["api"]
    assert messages["publisher"] == ["published"] * 2
    ended = [line["message"] for name in ("US", "EU") for line in about[name]]
    assert sum(m.startswith("region finished") for m in ended) == 2
    assert sum(m.startswith("Cross-region execution completed") for m in ended) == 1
    access = [line for line in lines(logs["api"]) if line["logger"] == "api.access" and "POST" in line["message"]]
    assert [line["trace_id"] for line in access] == [TRACE]
    received = provider.wait_for_calls(4)
    assert {call.headers["traceparent"] for call in received} == {PARENT}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (PARENT, PARENT),
        (f"cc-{PARENT[3:]}-of-the-future", PARENT),
        ("", None),
        (f"ff-{PARENT[3:]}", None),
        (f"{PARENT}-more", None),
        (PARENT.upper(), None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        ("nonsense", None),
    ],
)
def test_a_trace_context_is_taken_over_or_begun(api: Api, sent: str, kept: str | None) -> None:
    spec = api.job()
    assert api.post(spec, **({"traceparent": sent} if sent else {})).status_code == 202
    stored = api.sql("SELECT traceparent FROM jobs WHERE id = %s", spec["id"])[0][0]
    if kept:
        assert stored == kept
    else:
        assert len(stored) == 55
        assert TRACE not in stored
