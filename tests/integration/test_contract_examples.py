"""The examples on the page that describes the API are what the API takes and answers now."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner_api.contract.examples import FILE, SIGN_JOB, examples
from runner_api.contract.operations import OPERATIONS
from runner_api.contract.samples import HOST, SIGNED, samples
from tests.integration.api_client import ADMIN, Api, unsigned
from tests.integration.contract_examples import NOT_SHOWN, operations, play, written
from tests.integration.server import Server

WRITE = "WRITE_EXAMPLES"


def test_each_operation_has_an_example_that_the_api_gives(api: Api) -> None:
    """`make examples` writes the file anew."""
    played = play(api)
    assert set(operations(api)) - NOT_SHOWN == set(played)
    if os.environ.get(WRITE):
        FILE.write_text(written(played))
        examples.cache_clear()
    kept = json.loads(FILE.read_text())
    for operation in sorted(played):
        assert kept[operation] == played[operation], f"{operation}: `make examples` writes the file"
    assert set(kept) == set(played)


def test_each_example_has_the_described_shape(api: Api) -> None:
    adapter = api.app.url_map.bind("localhost")
    for operation, example in examples().items():
        method, _, _ = operation.partition(" ")
        endpoint, _ = adapter.match(example["request"]["path"].partition("?")[0], method=method)
        described = OPERATIONS[endpoint]
        answer = described.answers[example["response"]["status"]]
        if isinstance(answer, str):
            assert example["response"]["type"] == answer
        else:
            assert answer is not None
            answer.model_validate(example["response"]["body"])
        if described.body and "body" in example["request"]:
            described.body.model_validate(example["request"]["body"])


def test_the_document_has_the_examples(api: Api) -> None:
    described = operations(api)
    for operation, example in examples().items():
        response = example["response"]
        content = described[operation]["responses"][str(response["status"])]["content"]
        assert content[response["type"]]["example"] == response["body"]
    job = described["POST /api/v1/jobs"]["requestBody"]["content"]["application/json"]["example"]
    assert job["questions"] == ["q1", "q2"]


@pytest.fixture
def server(api: Api, tmp_path: Path) -> Iterator[Server]:
    started = Server(api.env | {"WEB_CONCURRENCY": "1"}, tmp_path)
    yield started.wait()
    started.kill()


def run(command: list[str], folder: Path, **more: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | more, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def programs(server: Server, language: str) -> Iterator[tuple[str, int, str]]:
    """Yield each operation with the status of its example and its program for this server."""
    for operation, example in examples().items():
        admin = example["request"]["path"].startswith("/admin/")
        if operation.startswith("GET"):
            text = samples(operation, example, admin=admin)[language].replace(HOST, server.url)
            yield operation, example["response"]["status"], text


def test_the_programs_in_python_run(api: Api, server: Server, tmp_path: Path) -> None:
    play(api)
    together = [text for _, _, text in programs(server, "Python")]
    told = run([sys.executable, "-c", "\n".join(together)], tmp_path, ADMIN_TOKEN=ADMIN)
    assert [line[:4] for line in told.splitlines() if line[:4] == "200 "] == ["200 "] * len(together)


@pytest.mark.needs("curl")
def test_the_commands_of_curl_run(api: Api, server: Server, tmp_path: Path) -> None:
    play(api)
    for operation, _, text in programs(server, "curl"):
        told = run(["/bin/sh", "-euc", text.replace("curl -sS", "curl -sS -f")], tmp_path, ADMIN_TOKEN=ADMIN)
        assert told, operation


@pytest.mark.needs("node")
def test_the_programs_in_javascript_run(api: Api, server: Server, tmp_path: Path) -> None:
    play(api)
    together = [f"{{\n{text}\n}}" for _, _, text in programs(server, "JavaScript")]
    (tmp_path / "all.mjs").write_text("\n".join(together))
    told = run(["node", "all.mjs"], tmp_path, ADMIN_TOKEN=ADMIN)
    assert told.count("200 ") >= len(together)


@pytest.mark.parametrize("language", ["curl", "Python", pytest.param("JavaScript", marks=pytest.mark.needs("node"))])
def test_the_signing_program_makes_what_the_posts_send(language: str, api: Api, server: Server, tmp_path: Path) -> None:
    """The page's 14 lines sign a job, and the page's programs submit it, alone and in a cross-region request."""
    assert len(SIGN_JOB.splitlines()) <= 15
    (tmp_path / "sign_job.py").write_text(SIGN_JOB)
    api.key.save(tmp_path / "signing.pem")
    for operation in SIGNED:
        spec = unsigned(metadata={"created_by": "page"}, questions=["q1", "Ünïcode \U0001f600?"])
        (tmp_path / "job.json").write_text(json.dumps(spec))
        signed = run([sys.executable, "sign_job.py", "job.json", "signing.pem"], tmp_path)
        (tmp_path / "signed.json").write_text(signed)
        text = samples(operation, examples()[operation], admin=False)[language].replace(HOST, server.url)
        command: Any = {"Python": [sys.executable, "-c", text], "JavaScript": ["node", "post.mjs"]}.get(language)
        if language == "JavaScript":
            (tmp_path / "post.mjs").write_text(text)
        elif language == "curl":
            if "jq " in text:  # not everywhere; what it would write
                more = {"target_regions": ["US", "EU"], "min_regions": 1}
                (tmp_path / "body.json").write_text(json.dumps({"jobspec": json.loads(signed), **more}))
                text = f"curl -sS --json @body.json {text.rpartition(' ')[2]}"
            command = ["/bin/sh", "-euc", text]
        told = run(command, tmp_path)
        assert str(spec["id"]) in told, told
        assert api.get(f"/jobs/{spec['id']}")["status"] == "queued"
