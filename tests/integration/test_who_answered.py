"""From an HTTP provider to the API, the pages, the files, the commands and the receipt: who answered what was sent."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbox_publisher.sweep import take_back
from runner_core.db import Database
from runner_core.keys import PrivateKey
from runner_core.settings import Settings
from tests.command_line import usage
from tests.held_regions import expire
from tests.integration.api_client import Api
from tests.integration.portal_pages import get
from tests.integration.server import Server
from tests.jobs import until
from tests.provider_server import ProviderServer
from tests.publishing import publish

WHO = {"system_fingerprint": "fp_7", "provider": "Azure", "service_tier": "default"}
REGIONS = """
default_model = "m1"
[questions]
q1 = "What is one?"
q2 = "What is two?"
"""
REGION = """
[regions.{region}]
display = "{region}"
system_prompt = "You are in {region}."
[[providers]]
id = "p-{region}"
region = "{region}"
kind = "openai"
base_url = "{url}/{region}/v1"
models = {{ m1 = "vendor/m1" }}
"""


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as serving:
        yield serving


def says(provider: ProviderServer, model: str, request_id: str, times: int | None = None, **match: str) -> None:
    """The provider names itself so in its answers."""
    told = WHO | {"model": model}
    provider.add_rule(fault="strict", more=told, headers={"x-request-id": request_id}, match=match, times=times)


@pytest.fixture
def env(database_url: str, redis_url: str, tmp_path: Path, provider: ProviderServer) -> dict[str, str]:
    (tmp_path / "asked.toml").write_text(
        REGIONS + "".join(REGION.format(region=region, url=provider.url) for region in ("US", "EU"))
    )
    PrivateKey.generate().save(str(tmp_path / "receipt.pem"))
    places = {"REGIONS_FILE": str(tmp_path / "asked.toml"), "RECEIPT_KEY_FILE": str(tmp_path / "receipt.pem")}
    return {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_url, "PROBE_SECONDS": "0", **places}


@pytest.fixture
def worker(env: dict[str, str], tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[bytes]"]]:
    """Starts a worker process for a region; all are killed at the end."""
    started = []

    def begin(region: str) -> "subprocess.Popen[bytes]":
        with (tmp_path / "worker.log").open("ab") as log:
            command = [sys.executable, "-m", "runner_worker", "--region", region]
            started.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def completed(api: Api, env: dict[str, str], **job: Any) -> str:
    """Submit a job and wait until it has completed; its id."""
    job_id = api.submit(models=["m1"], **job)
    publish(env)
    until(lambda: api.sql("SELECT status FROM jobs WHERE id = %s", job_id)[0][0] == "completed")
    return job_id


def test_who_answered_is_told_everywhere(
    make_api: Callable[..., Api],
    start: Callable[..., Server],
    env: dict[str, str],
    provider: ProviderServer,
    worker: Callable[[str], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = make_api(REGIONS_FILE=env["REGIONS_FILE"])
    provider.add_rule(
        fault="body", status=503, text='{"error": {"message": "away"}}', headers={"x-request-id": "req_0"}, times=1,
        match={"path": "/US/"},
    )  # fmt: skip
    says(provider, "gpt-5-a", "req_us", path="/US/")
    says(provider, "gpt-5-b", "req_eu", path="/EU/")
    worker("US")
    worker("EU")
    job_id = completed(api, env, questions=["q1"], parameters={"temperature": 0.4})

    rows = {row["region"]: row for row in api.get(f"/jobs/{job_id}/executions/all")["executions"]}
    us = rows["US"]
    assert us["served"] == {
        "model": "gpt-5-a", "fingerprint": "fp_7", "upstream": "Azure", "service_tier": "default",
        "request_id": "req_us",
    }  # fmt: skip
    body = provider.calls[-1].body
    assert us["sent"]["model"] == "vendor/m1"
    assert us["sent"]["temperature"] == body["temperature"] == 0.4
    assert us["paid"] == "yes"
    assert us["waited_ms"] + us["answered_ms"] <= us["duration_ms"] + 1
    assert [(error["code"], error["request_id"]) for error in us["errors"]] == [("http_503", "req_0")]
    assert us["output"]["served"] == us["served"]
    check_pages_and_files(api, job_id, us)
    server = start(api.env).wait()
    monkeypatch.setenv("BEACON_URL", server.url)
    check_commands(job_id, rows, capsys)
    check_receipt(api.get(f"/executions/{us['execution_id']}/details"), tmp_path / "execution.json")
    assert "request id req_us" in capsys.readouterr().out


def check_pages_and_files(api: Api, job_id: str, us: dict[str, Any]) -> None:
    """`us`: the row of the call in US, whose first try failed."""
    page = get(api, f"/executions/{us['id']}")
    told = ("gpt-5-a", "fp_7", "Azure", "req_us", "req_0", "vendor/m1", "You are in US.", "waited", "paid for")
    assert [text for text in told if text not in page] == []
    assert "Served model changed: m1, from US to EU: gpt-5-a, then gpt-5-b." in get(api, f"/jobs/{job_id}/compare")

    file = api.client.get(f"/jobs/{job_id}/compare.csv").data.decode("utf-8-sig")
    line = next(line for line in csv.DictReader(io.StringIO(file, newline="")) if line["region"] == "US")
    assert (line["served_model"], line["upstream"], line["request_id"], line["paid"]) == (
        "gpt-5-a", "Azure", "req_us", "yes",
    )  # fmt: skip
    assert json.loads(line["sent"]) == us["sent"]
    assert "Served model changed" in line["served_model_changed"]
    exported = api.client.get(f"/jobs/{job_id}/compare.json").get_json()
    assert [change["between"] for change in exported["served_model_changes"]] == ["regions"]
    assert {row["run_no"] for row in exported["executions"]} == {1}


def check_commands(job_id: str, rows: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("show", job_id, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert {row["region"]: row["served"] for row in shown["executions"]} == {r: rows[r]["served"] for r in rows}
    assert usage("show", job_id, "--answers") == 0
    out = capsys.readouterr().out
    assert "failed try http_503, request id req_0" in out
    assert "m1 in US: model gpt-5-a, fingerprint fp_7, upstream Azure" in out
    assert usage("compare", job_id) == 0
    assert "Served model changed: m1, from US to EU" in capsys.readouterr().out


def check_receipt(details: dict[str, Any], file: Path) -> None:
    """It verifies, and no longer once who answered or what was sent is changed beside it."""
    key = details["receipt"]["public_key"]
    for change, code in ((None, 0), ("served", 1), ("sent", 1)):
        document = json.loads(json.dumps(details))
        if change:
            document["answers"][0][change]["model"] = "another"
        file.write_text(json.dumps(document))
        assert usage("receipt", str(file), "--trust", key) == code


def test_a_killed_worker_loses_neither_who_answered_nor_what_was_sent(
    make_api: Callable[..., Api],
    env: dict[str, str],
    provider: ProviderServer,
    worker: Callable[[str], Any],
    conn: psycopg.Connection[Any],
) -> None:
    api = make_api(REGIONS_FILE=env["REGIONS_FILE"])
    says(provider, "gpt-5-a", "req_1", prompt="one")
    provider.add_rule(fault="hang", match={"prompt": "two"}, times=1)
    says(provider, "gpt-5-b", "req_2", prompt="two")
    first = worker("US")
    job_id = api.submit(models=["m1"], questions=["q1", "q2"], constraints={"regions": ["US"]})
    publish(env)
    until(lambda: api.sql("SELECT count(*) FROM answers WHERE status = 'ok'")[0][0] == 1)
    provider.wait_for_calls(2)
    first.kill()
    first.wait()
    before = api.sql("SELECT served, sent, answered_ms FROM answers WHERE question_id = 'q1'")
    assert before[0][0]["request_id"] == "req_1"
    expire(conn)
    with_publisher = Database(Settings.from_env(env), "test").open()
    assert take_back(with_publisher) == 1
    with_publisher.close()
    worker("US")
    publish(env)
    until(lambda: api.sql("SELECT status FROM jobs WHERE id = %s", job_id)[0][0] == "completed")
    assert api.sql("SELECT served, sent, answered_ms FROM answers WHERE question_id = 'q1'") == before
    (execution,) = api.get("/executions")["executions"]
    assert [one["model"] for one in execution["served"]] == ["gpt-5-a", "gpt-5-b"]
    assert [answer["served"]["request_id"] for answer in execution["output"]["answers"]] == ["req_1", "req_2"]
    details = api.get(f"/executions/{execution['id']}/details")
    file = Path(env["REGIONS_FILE"]).with_name("execution.json")
    file.write_text(json.dumps(details))
    assert usage("receipt", str(file), "--trust", details["receipt"]["public_key"]) == 0
    assert [call.body["messages"][-1]["content"] for call in provider.calls].count("What is one?") == 1
