"""What the chat completions protocol is sent, byte for byte, and what is kept of it."""

import hashlib
import json
import time
from typing import Any

import pytest

from runner_core.upstreams import PARAMETERS, UpstreamModel
from runner_worker.providers.ask import Ask
from runner_worker.providers.openai import request

TODAY = (
    '{"model": "upstream-1", "messages": [{"role": "system", "content": "Be short."},'
    ' {"role": "user", "content": "Who?"}], "temperature": 0.1, "max_tokens": 500, "stream": false, "seed": 7}'
)


def ask(upstream: UpstreamModel | None = None, **changes: Any) -> Ask:
    values: dict[str, Any] = {
        "region": "US",
        "model_id": "m1",
        "upstream": upstream or UpstreamModel("upstream-1"),
        "prompt": "Who?",
        "deadline": time.monotonic() + 1,
        "system_prompt": "Be short.",
        "parameters": {"temperature": 0.1, "max_tokens": 500, "seed": 7},
    }
    return Ask(**(values | changes))


def test_a_job_without_parameters_sends_what_it_always_sent() -> None:
    path, document, sent = request(ask())
    assert (path, json.dumps(document)) == ("/chat/completions", TODAY)
    assert sent == {"model": "upstream-1", "temperature": 0.1, "max_tokens": 500, "seed": 7}


def test_every_parameter_has_its_place() -> None:
    values = {"stop": ["a"], "top_k": 3, "top_p": 0.5, "reasoning_effort": "low", "presence_penalty": 1.0}
    _, document, sent = request(ask(parameters={"seed": 1, **values, "temperature": 0}))
    assert list(document) == [
        *("model", "messages", "temperature", "top_p", "top_k", "stop", "presence_penalty"),
        *("reasoning_effort", "stream", "seed"),
    ]
    assert sent == {"model": "upstream-1", **values, "temperature": 0, "seed": 1}


def test_parameters_are_renamed_and_a_constant_body_is_added() -> None:
    body = {"provider": {"only": ["azure/eu"]}}
    upstream = UpstreamModel("gpt", rename={"max_tokens": "max_completion_tokens", "seed": "random_seed"}, body=body)
    _, document, sent = request(ask(upstream))
    assert (document["max_completion_tokens"], document["random_seed"]) == (500, 7)
    assert not {"max_tokens", "seed"} & document.keys()
    assert document["provider"] == body["provider"]
    sha256 = hashlib.sha256(b'{"provider":{"only":["azure/eu"]}}').hexdigest()
    assert upstream.body_sha256 is upstream.body_sha256, "a body of 16 KiB is not hashed anew for each call"
    assert sent == {
        "model": "gpt",
        "temperature": 0.1,
        "max_completion_tokens": 500,
        "random_seed": 7,
        "body_sha256": sha256,
    }


def test_what_a_model_does_not_take_is_never_sent() -> None:
    takes = frozenset(PARAMETERS) - {"temperature", "seed", "max_tokens", "system_prompt"}
    _, document, sent = request(ask(UpstreamModel("o", takes=takes)))
    assert json.dumps(document) == '{"model": "o", "messages": [{"role": "user", "content": "Who?"}], "stream": false}'
    assert sent == {"model": "o"}


@pytest.mark.parametrize(
    ("role", "messages"),
    [
        ("system", [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Who?"}]),
        ("developer", [{"role": "developer", "content": "Be short."}, {"role": "user", "content": "Who?"}]),
        ("user", [{"role": "user", "content": "Be short.\n\nWho?"}]),
        ("none", [{"role": "user", "content": "Who?"}]),
    ],
)
def test_the_system_prompt_goes_where_the_model_wants_it(role: str, messages: list[dict[str, str]]) -> None:
    _, document, sent = request(ask(UpstreamModel("m", system_role=role)))
    assert document["messages"] == messages
    assert sent.get("system_role", "system") == role
    _, document, sent = request(ask(UpstreamModel("m", system_role=role), system_prompt=""))
    assert document["messages"] == [{"role": "user", "content": "Who?"}]
    assert "system_role" not in sent


def test_a_model_may_have_a_path_of_its_own() -> None:
    assert request(ask(UpstreamModel("m", path="/openai/deployments/m/chat/completions")))[0] == (
        "/openai/deployments/m/chat/completions"
    )
