"""One file, submitted by the command, asks three models that each refuse what another one needs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner_cli.local import Local
from tests.command_line import JOB
from tests.provider_server import ProviderServer

REGIONS = """
default_model = "modern"
[regions.EU]
display = "EU"
system_prompt = "Be short."

[[providers]]
id = "modern-eu"
region = "EU"
kind = "openai"
base_url = "{url}/modern/v1"
models = {{ modern = {{ upstream = "gpt-5", rename = {{ max_tokens = "max_completion_tokens" }} }}, calm = "o9" }}

[[providers]]
id = "claude-eu"
region = "EU"
kind = "anthropic"
base_url = "{url}/claude"
geography = "eu"
models = {{ claude = "claude-x" }}
"""
ASKED = {
    "constraints": {"regions": ["EU"]},
    "questions": ["What is the capital of Peru?"],
    "models": ["modern", {"id": "calm", "parameters": {"temperature": None, "max_tokens": 9}}, "claude"],
}


def set_rules(provider: ProviderServer) -> None:
    """`gpt-5` refuses max_tokens, `o9` any temperature, and `claude-x` tells where it ran, after a failed try."""
    told = {"model": "gpt-5-2026", "system_fingerprint": "fp_1", "provider": "Azure"}
    request = {"x-request-id": "req-modern"}
    provider.add_rule(fault="strict", match={"model": "gpt-5"}, refuses=["max_tokens"], more=told, headers=request)
    calm = {"model": "o9-2026"}
    provider.add_rule(fault="strict", match={"model": "o9"}, refuses=["temperature"], more=calm)
    provider.add_rule(
        fault="status", status=529, match={"model": "claude-x"}, times=1, headers={"request-id": "req-away"}
    )
    placed = {"usage": {"input_tokens": 9, "output_tokens": 4, "inference_geo": "eu"}}
    provider.add_rule(
        fault="strict", match={"model": "claude-x"}, refuses=["seed"], more=placed, headers={"request-id": "req-claude"}
    )


def beacon(local: Local, *words: str) -> str:
    command = [sys.executable, "-m", "runner_cli", *words, "--url", local.api_url]
    done = subprocess.run(command, env=local.env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_model_is_asked_as_it_can_be(stack: Callable[..., Local], home: Path) -> None:
    with ProviderServer() as provider:
        set_rules(provider)
        regions, file = home / "regions.toml", home / "job.json"
        regions.write_text(REGIONS.format(url=provider.url))
        file.write_text(json.dumps({"id": "job-strict", **JOB, **ASKED}))
        local = stack(env={"REGIONS_FILE": str(regions)}, worker_us=0, worker_eu=1, worker_asia=0)
        beacon(local, "submit", str(file), "--key", str(local.signing_key), "--wait")
        shown: list[dict[str, Any]] = json.loads(beacon(local, "show", "job-strict", "--json"))["executions"]
    rows = {row["model_id"]: row for row in shown}
    assert {model: row["status"] for model, row in rows.items()} == dict.fromkeys(rows, "completed")
    sent = {model: row["sent"] for model, row in rows.items()}
    seeds = {model: sent[model].pop("seed") for model in ("modern", "calm")}
    assert len(set(seeds.values())) == 2
    assert sent == {
        "modern": {"model": "gpt-5", "temperature": 0.1, "max_completion_tokens": 500},
        "calm": {"model": "o9", "max_tokens": 9},
        "claude": {"model": "claude-x", "temperature": 0.1, "max_tokens": 500, "inference_geo": "eu"},
    }
    assert {model: row["served"] for model, row in rows.items()} == {
        "modern": {
            "model": "gpt-5-2026", "fingerprint": "fp_1", "upstream": "Azure", "request_id": "req-modern",
        },
        "calm": {"model": "o9-2026"},
        "claude": {"model": "claude-x", "geography": "eu", "request_id": "req-claude"},
    }  # fmt: skip
    assert [(error["code"], error["request_id"]) for error in rows["claude"]["errors"]] == [("http_529", "req-away")]
