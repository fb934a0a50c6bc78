"""The entries of docs/providers.md, each asked once, of a server that answers in the form of its endpoint."""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from runner_core.regions import Catalogue, load_catalogue
from runner_core.settings import Settings
from runner_worker.providers import Ask, Providers, Reply
from tests.provider_server import ProviderServer

PAGE = (Path(__file__).parents[3] / "docs/providers.md").read_text()
ENTRIES = PAGE.partition("## Endpoints")[2].partition("```toml\n")[2].partition("```")[0]
HEAD = 'default_model = "vllm"\n[questions]\nq = "What is the capital of Peru?"\n[regions.US]\ndisplay = "US"\n'
HEAD += 'system_prompt = "Be short."\n'
USAGE = {"prompt_tokens": 21, "completion_tokens": 4, "total_tokens": 25}


def chat(message: dict[str, Any], choice: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An answer of the chat completions protocol; `more`: what the endpoint adds."""
    own = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop", **(choice or {})}
    return {"object": "chat.completion", "created": 1795000000, "choices": [own], "usage": USAGE, **more}


# model: the endpoint's answer, and who answered
ANSWERS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "vllm": (
        chat(
            {"content": "Lima.", "reasoning_content": None, "tool_calls": []},
            {"logprobs": None, "stop_reason": None},
            id="chatcmpl-7f",
            model="meta-llama/Llama-3.2-1B-Instruct",
            prompt_logprobs=None,
            kv_transfer_params=None,
        ),
        {"model": "meta-llama/Llama-3.2-1B-Instruct", "request_id": "chatcmpl-7f"},
    ),
    "ollama": (
        chat({"content": "Lima."}, id="chatcmpl-412", model="llama3.2:1b", system_fingerprint="fp_ollama"),
        {"model": "llama3.2:1b", "fingerprint": "fp_ollama", "request_id": "chatcmpl-412"},
    ),
    "llamacpp": (
        chat(
            {"content": "Lima."},
            id="chatcmpl-Xc",
            model="qwen2.5-1.5b",
            system_fingerprint="b6900-0de0a01",
            timings={"prompt_ms": 12.5, "predicted_n": 4},
        ),
        {"model": "qwen2.5-1.5b", "fingerprint": "b6900-0de0a01", "request_id": "chatcmpl-Xc"},
    ),
    "tgi": (
        chat({"content": "Lima."}, {"logprobs": None}, id="", model="org/model", system_fingerprint="3.3.6-sha-1a"),
        {"model": "org/model", "fingerprint": "3.3.6-sha-1a"},
    ),
    "modal": (
        chat({"content": "Lima."}, id="chatcmpl-9a", model="Qwen/Qwen2.5-1.5B-Instruct"),
        {"model": "Qwen/Qwen2.5-1.5B-Instruct", "request_id": "chatcmpl-9a"},
    ),
    "openrouter": (
        chat(
            {"content": "Lima.", "refusal": None, "reasoning": None},
            {"native_finish_reason": "stop", "logprobs": None},
            id="gen-17",
            provider="DeepInfra",
            model="meta-llama/llama-3.3-70b-instruct",
        ),
        {"model": "meta-llama/llama-3.3-70b-instruct", "upstream": "DeepInfra", "request_id": "gen-17"},
    ),
    "openai": (
        chat(
            {"content": "Lima.", "refusal": None, "annotations": []},
            id="chatcmpl-B",
            model="gpt-5-2025-08-07",
            service_tier="default",
            system_fingerprint=None,
        ),
        {"model": "gpt-5-2025-08-07", "service_tier": "default", "request_id": "chatcmpl-B"},
    ),
    "azure": (
        chat(
            {"content": "Lima.", "refusal": None},
            {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}},
            id="chatcmpl-C",
            model="gpt-4.1-2025-04-14",
            system_fingerprint="fp_07",
            prompt_filter_results=[{"prompt_index": 0, "content_filter_results": {}}],
        ),
        {"model": "gpt-4.1-2025-04-14", "fingerprint": "fp_07", "request_id": "chatcmpl-C"},
    ),
    "anthropic": (
        {
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5-20251001",
            "content": [{"type": "text", "text": "Lima."}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 21, "output_tokens": 4, "service_tier": "standard", "inference_geo": "us"},
        },
        {
            "model": "claude-haiku-4-5-20251001",
            "service_tier": "standard",
            "geography": "us",
            "request_id": "msg_01",
        },
    ),
}
PATHS = {"azure": "/deployments/my-deployment/chat/completions?api-version=2024-10-21", "anthropic": "/v1/messages"}


def load(folder: Path, url: str) -> Catalogue:
    """The page's entries, each led to a folder of the test's server that is named as its model."""
    entries = ENTRIES.split("[[providers]]")[1:]
    led = [re.sub(r'base_url = "[^"]*"', f'base_url = "{url}/{model_of(entry)}"', entry) for entry in entries]
    file = folder / "regions.toml"
    file.write_text(HEAD + "".join(f"[[providers]]{entry}" for entry in led))
    return load_catalogue(file, allow_sandbox=False, env={})


def model_of(entry: str) -> str:
    found = re.search(r"^models = \{ (\w+) = ", entry, re.MULTILINE)
    assert found, entry
    return found[1]


@pytest.mark.parametrize("model", ANSWERS)
def test_it_answers(server: ProviderServer, tmp_path: Path, model: str) -> None:
    document, served = ANSWERS[model]
    catalogue = load(tmp_path, server.url)
    found = catalogue.provider_for("US", model)
    assert found
    provider, upstream = found
    if model == "modal":
        server.add_rule(fault="redirect_same", times=1, match={"path": "/modal/"})
    server.add_rule(fault="body", status=200, text=json.dumps(document), match={"path": f"/{model}/"})
    question = Ask(
        region="US",
        model_id=model,
        upstream=upstream,
        prompt="What is the capital of Peru?",
        deadline=time.monotonic() + 20,
        system_prompt="Be short.",
        parameters={"temperature": 0.1, "max_tokens": upstream.max_tokens, "seed": 7},
    )

    async def once() -> Reply:
        keys = dict.fromkeys(catalogue.secret_names, "secret-0123456789")
        providers = Providers(catalogue, Settings.from_env({}), keys)
        try:
            return await providers.ask(provider, question)
        finally:
            providers.close()

    reply = asyncio.run(once())
    call = server.calls[0]
    assert call.path == f"/{model}{PATHS.get(model, '/chat/completions')}"
    if model != "modal":  # what is behind its redirect is the test server's own answer
        assert (reply.response, reply.answer.served) == ("Lima.", served)
        assert reply.answer.usage == USAGE
    assert (reply.refused, reply.errors) == (False, [])
    assert call.body["model"] == upstream.name


def test_every_entry_of_the_page_is_asked(tmp_path: Path) -> None:
    assert set(load(tmp_path, "http://127.0.0.1:9").models) == set(ANSWERS)
