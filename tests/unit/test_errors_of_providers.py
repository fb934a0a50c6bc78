"""What is read from a provider's error: its sentence, its code, and whether a filter or the account was the cause."""

from typing import Any

import pytest

from runner_worker.providers.errors import failure_of, words_of
from runner_worker.providers.failures import Filtered

SENTENCES: dict[str, tuple[Any, str]] = {
    "OpenAI": (
        {"error": {"message": "No such model.", "type": "invalid_request_error", "code": "x"}},
        "No such model.",
    ),
    "a text": ({"error": "model 'x' not found"}, "model 'x' not found"),
    "vLLM": (
        {"object": "error", "message": "The model `x` does not exist.", "code": 404},
        "The model `x` does not exist.",
    ),
    "FastAPI": ({"detail": "Not Found"}, "Not Found"),
    "FastAPI's list": (
        {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs"}, {"msg": "not permitted"}]},
        "Extra inputs; not permitted",
    ),
    "nested detail": ({"detail": {"error": {"message": "deep"}}}, "deep"),
    "Google's array": ([{"error": {"code": 400, "message": "API key not valid."}}], "API key not valid."),
    "Anthropic": ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "Overloaded"),
    "plain text": ("upstream connect error", "upstream connect error"),
    "nothing": ({}, ""),
    "null": (None, ""),
    "a number": ({"error": {"message": 7}}, ""),
    "an empty array": ([], ""),
    "nested without end": ({"error": {"error": {"error": {"error": {"error": "far"}}}}}, ""),
}


@pytest.mark.parametrize(("document", "words"), SENTENCES.values(), ids=SENTENCES)
def test_the_sentence_is_found_in_every_shape(document: Any, words: str) -> None:
    assert words_of(document) == words


def test_a_sentence_has_a_limit() -> None:
    assert len(words_of({"error": {"message": "x" * 100_000}})) == 2000


AZURE = {
    "error": {
        "message": "The response was filtered due to the prompt triggering the content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {
                "hate": {"filtered": False, "severity": "safe"},
                "violence": {"filtered": True, "severity": "high"},
                "jailbreak": {"filtered": True, "detected": True},
            },
        },
    }
}
OPENROUTER = {
    "error": {
        "code": 403,
        "message": "The model requires moderation, and your input was flagged.",
        "metadata": {"reasons": ["violence", "hate"], "flagged_input": "What happened", "provider_name": "OpenAI"},
    }
}
FILTERED: dict[str, tuple[int, Any, str]] = {
    "Azure": (400, AZURE, "content management policy. (violence: high, jailbreak)"),
    "an inner code alone": (
        400,
        {"error": {"message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        "no",
    ),
    "OpenAI": (
        400,
        {"error": {"message": "Your request was rejected.", "code": "content_policy_violation"}},
        "rejected.",
    ),
    "Qwen": (
        400,
        {"error": {"message": "Input data may contain ...", "type": "data_inspection_failed"}},
        "contain ...",
    ),
    "DeepSeek": (
        400,
        {"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}},
        "Content Exists Risk",
    ),
    "OpenRouter": (403, OPENROUTER, "was flagged. (violence, hate)"),
    "at the top level": (400, {"code": "prompt_blocked", "message": "blocked"}, "blocked"),
    "in an array": (400, [{"error": {"message": "It has inappropriate content."}}], "inappropriate content."),
    "a code in capitals": (422, {"error": {"message": "no", "code": "CONTENT_FILTER"}}, "no"),
}


@pytest.mark.parametrize(("status", "document", "words"), FILTERED.values(), ids=FILTERED)
def test_a_blocked_prompt_is_known(status: int, document: Any, words: str) -> None:
    with pytest.raises(Filtered) as caught:
        failure_of(status, document, {"x-request-id": "req-9"})
    assert caught.value.words.endswith(words)
    assert caught.value.served["request_id"] == "req-9"


def test_a_router_says_whose_filter_it_was() -> None:
    with pytest.raises(Filtered) as caught:
        failure_of(403, OPENROUTER, {})
    assert caught.value.served == {"upstream": "OpenAI"}
    assert "What happened" not in caught.value.words


FAILED: dict[str, tuple[int, Any, str]] = {
    "a plain 400": (
        400,
        {"error": {"message": "Unsupported parameter: 'seed'", "code": "unsupported_parameter"}},
        "http_400",
    ),
    "a plain 403": (403, {"error": {"message": "Forbidden", "metadata": {"reasons": []}}}, "http_403"),
    "a filter's words with another status": (500, {"error": {"message": "safety system failed"}}, "http_500"),
    "no body": (503, None, "http_503"),
    "a used-up account": (429, {"error": {"message": "quota", "code": "insufficient_quota"}}, "quota_exhausted"),
    "its type": (429, {"error": {"message": "quota", "type": "insufficient_quota"}}, "quota_exhausted"),
    "under 402": (402, {"error": {"message": "Pay.", "type": "billing_error"}}, "quota_exhausted"),
    "Google's daily quota": (
        429,
        {
            "error": {
                "code": 429,
                "status": "RESOURCE_EXHAUSTED",
                "details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}],
            }
        },
        "quota_exhausted",
    ),
    "Google's quota of a minute": (
        429,
        {"error": {"details": [{"violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]}]}},
        "http_429",
    ),
    "too fast": (429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, "http_429"),
    "payment without a code": (402, {"error": {"message": "Payment required"}}, "http_other"),
    "strange shapes": (429, {"error": {"code": [], "type": {}, "details": [7, {"violations": [None]}]}}, "http_429"),
}


@pytest.mark.parametrize(("status", "document", "code"), FAILED.values(), ids=FAILED)
def test_every_other_error_is_a_failure(status: int, document: Any, code: str) -> None:
    assert failure_of(status, document, {}).code == code


def test_the_request_id_of_an_error_is_kept() -> None:
    assert failure_of(500, {"error": {}}, {"request-id": "req_1"}).served == {"request_id": "req_1"}
    assert failure_of(500, {"type": "error", "error": {}, "request_id": "req_2"}, {}).served == {"request_id": "req_2"}
