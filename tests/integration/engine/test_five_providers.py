"""One job over five providers that want to be asked, and that answer, in five ways."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_core.db import Database
from runner_core.regions import load_catalogue
from tests.engine import Start
from tests.jobs import query, submission, submit
from tests.outcome_rows import body, choice
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]
MODELS = ("modern", "azure", "vllm", "claude", "gateway")
FILE = """
default_model = "modern"
refusal_patterns = ["^I cannot"]
[questions]
q1 = "What is it?"
q2 = "Why is it?"
[regions.US]
display = "US"
system_prompt = "Be short."

[[providers]]
id = "modern-us"
region = "US"
kind = "openai"
base_url = "{url}/modern/v1"
omit = ["temperature"]
rename = {{ max_tokens = "max_completion_tokens" }}
system_role = "developer"
body = {{ store = false }}
models = {{ modern = "gpt-5" }}

[[providers]]
id = "azure-us"
region = "US"
kind = "openai"
base_url = "{url}/azure/openai"
query = {{ "api-version" = "2024-10-21" }}
headers_env = {{ "api-key" = "AZURE_KEY" }}
path = "/deployments/{{model}}/chat/completions"
models = {{ azure = "my-gpt-4" }}

[[providers]]
id = "vllm-us"
region = "US"
kind = "openai"
base_url = "{url}/vllm/v1"
models = {{ vllm = "deepseek-r1" }}

[[providers]]
id = "claude-us"
region = "US"
kind = "anthropic"
base_url = "{url}/claude"
api_key_env = "CLAUDE_KEY"
geography = "us"
models = {{ claude = "claude-x" }}

[[providers]]
id = "gateway-us"
region = "US"
kind = "openai"
base_url = "{url}/gateway/v1"
models = {{ gateway = "any" }}
"""


def set_rules(server: ProviderServer) -> None:
    """The first question is answered by all of them; the second meets filters and refusals."""
    server.add_rule(
        fault="strict",
        match={"path": "/modern/"},
        refuses=["max_tokens", "temperature", "system"],
        headers={"X-Request-ID": "req-modern"},
        more={"model": "gpt-5-2026", "system_fingerprint": "fp_1", "service_tier": "default"},
    )
    blocked = {"error": {"message": "The prompt was filtered.", "code": "content_filter"}}
    server.add_rule(match={"path": "/azure/", "prompt": "Why"}, **body(blocked, 400))
    server.add_rule(text="<think>hmm</think>\nI cannot say.", match={"path": "/vllm/", "prompt": "Why"})
    geography = {"usage": {"input_tokens": 9, "output_tokens": 4, "inference_geo": "us"}}
    server.add_rule(fault="strict", match={"path": "/claude/"}, refuses=["seed"], more=geography)
    broken = choice("Half", "error", error={"code": 502, "message": "Upstream idle timeout"})
    server.add_rule(times=1, match={"path": "/gateway/", "prompt": "What"}, **broken)
    server.add_rule(match={"path": "/gateway/", "prompt": "Why"}, **choice("The events of", "content_filter"))


def test_it_completes_and_every_cell_is_explained(
    db: Database, conn: Conn, server: ProviderServer, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_KEY", "azure-secret-1")
    monkeypatch.setenv("CLAUDE_KEY", "claude-secret-1")
    file = tmp_path / "regions.toml"
    file.write_text(FILE.format(url=server.url))
    catalogue = load_catalogue(file, allow_sandbox=False)
    set_rules(server)
    job_id = submit(db, submission(regions=("US",), models=MODELS, questions=("q1", "q2"))).job_id
    engine = start(catalogue, provider_max_tries=3)
    assert engine.run((job_id, "US")) == ["finished"]
    rows = query(conn, "SELECT model_id, status, output FROM executions")
    assert {row["model_id"]: row["status"] for row in rows} == dict.fromkeys(MODELS, "completed")
    cells = {
        (row["model_id"], answer["question_id"]): (answer["refusal_source"], answer["response"] != "")
        for row in rows
        for answer in row["output"]["answers"]
    }
    assert cells == {
        **{(model, "q1"): (None, True) for model in MODELS},
        ("modern", "q2"): (None, True),
        ("azure", "q2"): ("filter", False),
        ("vllm", "q2"): ("rules", True),
        ("claude", "q2"): (None, True),
        ("gateway", "q2"): ("filter", False),
    }
    calls = {call.path.split("/")[1]: call for call in server.calls}
    assert calls["azure"].path == "/azure/openai/deployments/my-gpt-4/chat/completions?api-version=2024-10-21"
    assert calls["azure"].headers["api-key"] == "azure-secret-1"
    assert calls["modern"].body["messages"][0] == {"role": "developer", "content": "Be short."}
    assert (calls["modern"].body["store"], calls["modern"].body["max_completion_tokens"]) == (False, 500)
    assert (calls["claude"].headers["x-api-key"], calls["claude"].body["inference_geo"]) == ("claude-secret-1", "us")
    assert [row["calls"] for row in query(conn, "SELECT calls FROM answers ORDER BY calls")] == [1] * 9 + [2]
