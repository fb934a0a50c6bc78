"""The hybrid router's protocol: what it is sent, and what is read from its answers."""

import json
import time
from typing import Any

import pytest

from runner_core.upstreams import UpstreamModel
from runner_worker.providers.ask import Ask
from runner_worker.providers.failures import Filtered, TryFailed
from runner_worker.providers.hybrid import read, request

TODAY = (
    '{"model": "upstream-1", "prompt": "Be short.\\n\\nWho?", "temperature": 0.1, "max_tokens": 500,'
    ' "region_preference": "us-east", "cost_priority": false}'
)


def answer(response: Any = "Lima.", **more: Any) -> dict[str, Any]:
    return {
        "success": True,
        "response": response,
        "provider_used": "runpod",
        "inference_time": 0.5,
        "metadata": {"region": "us-east", "model": "llama", "completion_tokens": 4.0},
    } | more


def test_the_request_is_todays_and_has_no_seed() -> None:
    ask = Ask(
        region="US",
        model_id="m1",
        upstream=UpstreamModel("upstream-1"),
        prompt="Who?",
        deadline=time.monotonic() + 1,
        system_prompt="Be short.",
        parameters={"temperature": 0.1, "max_tokens": 500, "seed": 7},
    )
    path, document, sent = request(ask, "us-east")
    assert (path, json.dumps(document)) == ("/inference", TODAY)
    assert sent == {"model": "upstream-1", "temperature": 0.1, "max_tokens": 500, "system_role": "user"}


def test_who_answered_is_read() -> None:
    found = read(answer("<think>hmm</think>Lima."), {"x-request-id": "req-1"})
    assert (found.text, found.thoughts) == ("Lima.", "hmm")
    assert found.served == {"model": "llama", "upstream": "runpod", "geography": "us-east", "request_id": "req-1"}
    assert found.usage == {"completion_tokens": 4, "inference_time": 0.5, "provider_used": "runpod"}


@pytest.mark.parametrize(
    ("document", "code", "paid"),
    [
        ({"success": False, "error": "no capacity", "error_code": "ROUTER_ERROR"}, "provider_error", "maybe"),
        ({"success": False, "error": "no", "error_code": "INVALID_MODEL"}, "provider_refused_request", "maybe"),
        ({"success": False, "error": "no", "error_code": "HTTP_503"}, "http_503", "maybe"),
        ({"success": False, "error": "no", "error_code": 401}, "http_401", "maybe"),
        ({"success": False, "error": "no", "error_code": "0"}, "http_other", "maybe"),
        ({"success": False, "error": "no", "error_code": "9" * 5000}, "http_other", "maybe"),
        ({"success": False}, "provider_error", "maybe"),
        (answer(""), "empty_response", "yes"),
        (answer(None), "empty_response", "yes"),
        (answer(7), "malformed_answer", "maybe"),
        (answer(success="yes"), "malformed_answer", "maybe"),
        (answer(metadata=[]), "malformed_answer", "maybe"),
        ({}, "malformed_answer", "maybe"),
    ],
)
def test_failures(document: dict[str, Any], code: str, paid: str) -> None:
    with pytest.raises(TryFailed) as caught:
        read(document, {})
    assert (caught.value.code, caught.value.paid) == (code, paid)


@pytest.mark.parametrize(
    ("code", "words"), [("CONTENT_FILTER", "blocked"), ("HTTP_400", "Content Exists Risk"), (403, "content policy")]
)
def test_a_filters_code_or_words_are_a_blocked_prompt(code: Any, words: str) -> None:
    with pytest.raises(Filtered) as caught:
        read({"success": False, "error": words, "error_code": code}, {})
    assert caught.value.words == words


@pytest.mark.parametrize("code", ["ROUTER_ERROR", "HTTP_502", "INVALID_MODEL"])
def test_what_was_paid_for_is_kept_of_a_failure(code: str) -> None:
    with pytest.raises(TryFailed) as caught:
        read(answer("Half", success=False, error="gone", error_code=code), {})
    assert (caught.value.partial, caught.value.usage["completion_tokens"]) == ("Half", 4)
