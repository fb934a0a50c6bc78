"""Anthropic's messages protocol: what it is sent, and what is read from its answers. The texts are our own."""

import json
import time
from typing import Any

import pytest

from runner_core.regions import Provider, Region
from runner_core.upstreams import PARAMETERS, UpstreamModel
from runner_worker.providers.anthropic import Anthropic, read, request
from runner_worker.providers.ask import Ask
from runner_worker.providers.failures import Filtered, TryFailed

REQUEST = (
    '{"model": "claude-x", "messages": [{"role": "user", "content": "Who?"}], "system": "Be short.",'
    ' "max_tokens": 500, "temperature": 0.1, "inference_geo": "eu"}'
)


def ask(upstream: UpstreamModel | None = None, **changes: Any) -> Ask:
    values: dict[str, Any] = {
        "region": "EU",
        "model_id": "m1",
        "upstream": upstream or UpstreamModel("claude-x", takes=frozenset(Anthropic.parameters)),
        "prompt": "Who?",
        "deadline": time.monotonic() + 1,
        "system_prompt": "Be short.",
        "parameters": {"temperature": 0.1, "max_tokens": 500, "seed": 7},
    }
    return Ask(**(values | changes))


def message(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x-20260901",
        "content": list(blocks),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 9,
            "output_tokens": 4,
            "cache_read_input_tokens": 0,
            "service_tier": "standard",
            "inference_geo": "eu",
        },
    } | more


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def test_the_request() -> None:
    path, document, sent = request(ask(), "eu")
    assert (path, json.dumps(document)) == ("/v1/messages", REQUEST)
    assert sent == {"model": "claude-x", "max_tokens": 500, "temperature": 0.1, "inference_geo": "eu"}


def test_parameters_have_the_protocols_names() -> None:
    given = {"top_p": 0.5, "top_k": 3, "stop": ["a"], "max_tokens": 9, "seed": 1, "reasoning_effort": "low"}
    _, document, sent = request(ask(parameters=given, system_prompt=""))
    assert document == {
        "model": "claude-x",
        "messages": [{"role": "user", "content": "Who?"}],
        "max_tokens": 9,
        "top_p": 0.5,
        "top_k": 3,
        "stop_sequences": ["a"],
    }
    assert sent == {"model": "claude-x", "max_tokens": 9, "top_p": 0.5, "top_k": 3, "stop_sequences": ["a"]}


def test_there_is_always_a_token_limit() -> None:
    upstream = UpstreamModel("claude-x", max_tokens=77, body={"thinking": {"type": "disabled"}})
    _, document, sent = request(ask(upstream, parameters={}))
    assert (document["max_tokens"], sent["max_tokens"]) == (77, 77)
    assert document["thinking"] == {"type": "disabled"}
    assert len(sent["body_sha256"]) == 64


def test_the_system_prompt_may_go_before_the_question() -> None:
    _, document, sent = request(ask(UpstreamModel("claude-x", system_role="user")))
    assert document["messages"] == [{"role": "user", "content": "Be short.\n\nWho?"}]
    assert "system" not in document
    assert sent["system_role"] == "user"


def test_who_answered_is_read() -> None:
    found = read(message(text("Lima.")), {"request-id": "req_1"})
    assert found.served == {
        "model": "claude-x-20260901",
        "service_tier": "standard",
        "geography": "eu",
        "request_id": "req_1",
    }
    assert found.usage == {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    older = message(text("Lima."), usage={"inference_geo": "not_available", "input_tokens": 9.0})
    assert read(older, {}).served == {"model": "claude-x-20260901", "request_id": "msg_1"}
    assert read(older, {}).usage == {"prompt_tokens": 9}


def test_blocks_are_joined_and_thinking_is_set_apart() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hmm", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
        text("Li"),
        {"type": "tool_use", "name": "t", "input": {}},
        text("ma."),
    ]
    found = read(message(*blocks), {})
    assert (found.text, found.thoughts, found.other_parts) == ("Lima.", "hmm", ("tool_use",))


def test_the_token_limit_is_told_as_by_others() -> None:
    found = read(message(text("The capital of Pe"), stop_reason="max_tokens"), {})
    assert (found.text, found.finish_reason) == ("The capital of Pe", "length")
    for blocks in ([{"type": "thinking", "thinking": "hmm"}], []):
        with pytest.raises(TryFailed) as caught:
            read(message(*blocks, stop_reason="max_tokens"), {})
        assert caught.value.code == "token_limit"


def test_a_refusal_with_text_is_by_the_provider_and_one_without_by_its_filter() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "It concerns biology."}
    with_text = read(message(text("I can't help."), stop_reason="refusal"), {})
    assert (with_text.text, with_text.refused, with_text.filter) == ("I can't help.", True, None)
    without = read(message(stop_reason="refusal", stop_details=details), {})
    assert (without.text, without.filter, without.filter_words) == ("", "output", "It concerns biology.")
    assert read(message(content=None, stop_reason="refusal"), {}).filter == "output"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (message(), "empty_response"),
        (message(text(" ")), "empty_response"),
        (message(content="Lima."), "malformed_answer"),
        (message(content=None), "malformed_answer"),
        ({}, "malformed_answer"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "provider_error"),
    ],
)
def test_failures(document: dict[str, Any], code: str) -> None:
    with pytest.raises(TryFailed) as caught:
        read(document, {})
    assert caught.value.code == code


def test_a_filters_error_is_a_blocked_prompt() -> None:
    with pytest.raises(Filtered):
        read({"type": "error", "error": {"type": "prompt_blocked", "message": "no"}}, {})


def test_settings_without_a_place_in_the_protocol_are_told() -> None:
    models = {
        "a": UpstreamModel("a", takes=frozenset(PARAMETERS) - {"max_tokens"}),
        "b": UpstreamModel("b", system_role="developer"),
    }
    provider = Provider("p", "EU", "anthropic", "https://api.example.com", "KEY", 8, models)
    told = Anthropic.mistakes(provider, Region("EU", "Europe"))
    assert [mistake.partition(":")[0] for mistake in told] == ["omit", "system_role"]
    assert Anthropic.mistakes(Provider("p", "EU", "anthropic", "", "", 8, {"m": UpstreamModel("m")}), None) == []
