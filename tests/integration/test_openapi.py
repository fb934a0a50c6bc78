"""The API's description of itself: complete, valid, true of a live server, readable offline."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runner_api.contract.openapi import PROBLEM
from runner_api.contract.operations import OPERATIONS
from runner_api.http.requests import label
from runner_api.routes.docs import described
from runner_core.method_page import METHOD_ID
from tests.integration.analysed_jobs import add_label, analysed, ended
from tests.integration.api_client import ADMIN, Api
from tests.integration.server import Server
from tests.scrape import samples

# Generated cases of an operation and chains of them, beside one for each of its limits. A number, not a time: on a busy
# machine a time would end before most operations had their turn.
EXAMPLES = 15
# Left out: schema-compliant jobs may still be refused, because a signature, a catalogue and limits that span several
# fields can't be said in a schema.
LEFT_OUT = "positive_data_acceptance"
# Left out at one address: GET there reads the job of that id, so its Allow tells of more than its own description.
# 414 is an answer to text that is too long, too; the others are the program's own.
LEFT_OUT_AT = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 414, 415, 422, 428, 429, "5xx"]

[[operations]]
include-name = "POST /api/v1/jobs/cross-region"
checks.allow_header_conformance.enabled = false
"""


@pytest.fixture
def document(api: Api) -> Any:
    return api.get("/openapi.json")


def test_every_route_is_described_and_nothing_else(api: Api, document: Any) -> None:
    routes = {
        (re.sub(r"<(?:[^:>]*:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in described(api.app)
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert routes == {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert {rule.endpoint for rule in described(api.app)} == set(OPERATIONS), "described, and served by nobody"
    ids = [op["operationId"] for methods in document["paths"].values() for op in methods.values()]
    assert len(ids) == len(set(ids))
    assert all(op["summary"] for methods in document["paths"].values() for op in methods.values())


def test_every_reference_leads_somewhere_and_every_error_is_a_problem(document: Any) -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert names <= set(document["components"]["schemas"])
    assert {"JobSpec", "CrossRegionRequest", "Problem"} <= names
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path not in ("/health", "/api/v1/health"):
                    assert list(answer["content"]) == [PROBLEM], (path, status)


def undescribed(sent: Any, known: Any, where: str = "") -> list[str]:
    """Where `sent` has fields that its model, read and written again, does not."""
    if isinstance(sent, dict) and isinstance(known, dict):
        found = [f"{where}.{name}" for name in sent if name not in known]
        return found + [
            w for name in sent if name in known for w in undescribed(sent[name], known[name], f"{where}.{name}")
        ]
    if isinstance(sent, list) and isinstance(known, list):
        return [w for one, other in zip(sent, known, strict=True) for w in undescribed(one, other, f"{where}[]")]
    return []


def test_what_is_answered_is_what_is_described(api: Api) -> None:
    """Every field of real answers: of a job that ended well in one region and badly in the other, of one that waits."""
    job_id, waiting = api.submit(), api.submit()
    api.finish(job_id, "US", {"m1": True})
    api.finish(job_id, "EU", {"m1": False})
    execution = api.sql("SELECT id FROM executions ORDER BY id LIMIT 1")[0][0]
    add_label(api, job_id)
    compared = ended(api)
    analysed(api, compared)
    paths = [
        f"/analysis/methods/{METHOD_ID}",
        "/jobs",
        "/executions",
        "/questions",
        "/models",
        "/regions",
        "/health",
        f"/executions/{execution}/details",
    ]
    for one in (job_id, waiting, compared):
        paths += [
            f"/jobs/{one}",
            f"/jobs/{one}?include=executions",
            f"/jobs/{one}/executions/all",
            f"/jobs/{one}/events",
        ]
        paths += [f"/executions/{one}/cross-region", f"/jobs/{one}/analysis", f"/jobs/{one}/labels"]
    seen = {}
    for path in paths:
        endpoint, _ = api.app.url_map.bind("localhost").match(f"/api/v1{path.partition('?')[0]}")
        model = OPERATIONS[endpoint].answers[200]
        body = api.get(path)
        seen[path] = undescribed(body, model.model_validate(body).model_dump(mode="json", by_alias=True))
    assert {path: found for path, found in seen.items() if found} == {}


def test_the_limits_are_those_that_validate(document: Any) -> None:
    spec = document["components"]["schemas"]["JobSpec"]
    assert {"benchmark", "constraints"} == set(spec["required"])
    assert "50" in json.dumps(spec["properties"]["questions"])


def test_the_page_needs_nothing_from_elsewhere(api: Api) -> None:
    answer = api.client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    html = answer.get_data(as_text=True)
    assert "POST /api/v1/jobs/cross-region" in html
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", html)
    assert "style=" not in html
    assert "<code>wait</code> seconds" in html
    targets = set(re.findall(r'href="#([\w-]+)"', html))
    assert targets <= set(re.findall(r'id="([\w-]+)"', html))


@pytest.fixture
def server(api: Api, tmp_path: Path) -> Iterator[Server]:
    started = Server(api.env | {"ALLOW_UNSIGNED": "1", "WEB_CONCURRENCY": "1"}, tmp_path)
    yield started.wait()
    started.kill()


def schemathesis() -> str:
    """The program of the extra `ci`."""
    found = shutil.which("schemathesis", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found:
        return found
    reason = "needs schemathesis: pip install 'beacon-runner[ci]'"
    if os.environ.get("CI") or os.environ.get("BEACON_CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def served(server: Server) -> set[tuple[str, str]]:
    """(route, method) of what the server has answered; a 401 comes from the door, before the operation."""
    counted = samples(httpx2.get(f"{server.url}/metrics").text)
    answered = [s.labels for s in counted if s.name == "http_requests_total" and s.labels["status"] != "401"]
    return {(labels["path"], labels["method"]) for labels in answered}


def test_schemathesis_asks_every_operation_and_finds_nothing(api: Api, server: Server, tmp_path: Path) -> None:
    program = schemathesis()
    job_id = api.submit()
    api.finish(job_id, "US", {"m1": True})
    (tmp_path / "schemathesis.toml").write_text(LEFT_OUT_AT)
    run = subprocess.run(
        [
            program,
            "run",
            f"{server.url}/api/v1/openapi.json",
            *("--header", f"Authorization: Bearer {ADMIN}"),
            *("--exclude-checks", LEFT_OUT, "--request-timeout", "70", "--report-json-path", "report.json"),
            *("--max-examples", str(EXAMPLES), "--continue-on-failure", "--seed", "1", "--generation-database", "none"),
            *("--warnings", "off", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    every = ((label(rule), rule.methods or set()) for rule in described(api.app))
    assert {(path, method) for path, methods in every for method in methods - {"HEAD", "OPTIONS"}} <= served(server)
    # The server has also counted one question for the description and ours whether it is up.
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["stop_reason"] == "completed"
    assert report["operations"]["tested"] == report["operations"]["total"]
    assert "internal_error" not in server.log.read_text()
    assert "unexpected " not in server.log.read_text()
