"""Every way in which a request to a provider can end, as the test provider causes it, and what must follow."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

FILTERED = {"error": {"message": "The prompt triggered the content management policy.", "code": "content_filter"}}
QUOTA = {"error": {"message": "You exceeded your quota.", "type": "insufficient_quota"}}


class Row(NamedTuple):
    """A rule of the test provider and the outcome: the code of a failure, or None; the number of requests; whether the
    call was paid for; who says that the answer is a refusal; whether five such requests open the breaker; the kind of
    provider, and what the test changes of the provider."""

    rule: dict[str, Any]
    code: str | None
    calls: int
    paid: str
    source: str | None = None
    opens: bool = False
    seconds: Mapping[str, float] = MappingProxyType({})
    kind: str = "openai"
    changes: Mapping[str, Any] = MappingProxyType({})


def choice(content: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """A rule for an answer of the chat completions protocol. `error` is the choice's, others are the message's."""
    own = {"error": more.pop("error")} if "error" in more else {}
    message = {"role": "assistant", "content": content, **more}
    document = {"choices": [{"index": 0, "finish_reason": finish, "message": message, **own}]}
    return body(document | {"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})


def body(document: Any, status: int = 200, **headers: str) -> dict[str, Any]:
    """A rule for an answer with this JSON, or this text."""
    text = document if isinstance(document, str) else json.dumps(document)
    return {
        "fault": "body",
        "status": status,
        "text": text,
        "headers": {k.replace("_", "-"): v for k, v in headers.items()},
    }


def router(**more: Any) -> dict[str, Any]:
    """A rule for an answer of the hybrid router."""
    return body({"success": True, "response": "Lima.", "metadata": {"region": "us-east"}} | more)


def message(stop_reason: str, text: str = "Lima.", place: str = "us") -> dict[str, Any]:
    """A rule for an answer of Anthropic's protocol."""
    usage = {"input_tokens": 3, "output_tokens": 4, "inference_geo": place}
    return body({"content": [{"type": "text", "text": text}], "stop_reason": stop_reason, "usage": usage})


def status(number: int) -> dict[str, Any]:
    return {"fault": "status", "status": number}


def wire(text: str) -> dict[str, Any]:
    return {"fault": "wire", "text": text}


ROWS: dict[str, Row] = {
    "text": Row(choice("Lima."), None, 1, "yes"),
    "text at the token limit": Row(choice("The capital of Pe", "length"), None, 1, "yes"),
    "the refusal field": Row(choice(None, refusal="I can't help."), None, 1, "yes", "provider"),
    "a refusal by its words": Row(choice("As an AI I would rather not."), None, 1, "yes", "rules"),
    "a refusal by the regions file's pattern": Row(choice("As an AI, no."), None, 1, "yes", "pattern"),
    "a refusal after thoughts": Row(choice("<think>hmm</think> As an AI, no."), None, 1, "yes", "pattern"),
    "400 with a filter's code": Row(body(FILTERED, 400), None, 1, "no", "filter"),
    "403 with reasons": Row(
        body({"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["hate"]}}}, 403),
        None,
        1,
        "no",
        "filter",
    ),
    "400 with a filter's words": Row(body({"error": {"message": "Content Exists Risk"}}, 400), None, 1, "no", "filter"),
    "a filter's error in gzip": Row(
        {"fault": "gzip", "status": 400, "text": json.dumps(FILTERED)}, None, 1, "no", "filter"
    ),
    "filtered, content null": Row(choice(None, "content_filter"), None, 1, "yes", "filter"),
    "filtered, content empty": Row(choice("", "refusal"), None, 1, "yes", "filter"),
    "filtered, half a text": Row(choice("The events of", "content_filter"), None, 1, "yes", "filter"),
    "filtered, no message": Row(body({"choices": [{"finish_reason": "content_filter"}]}), None, 1, "yes", "filter"),
    "a broken-off choice": Row(
        choice("Half", "error", error={"code": 502, "message": "x"}), "http_502", 3, "maybe", opens=True
    ),
    "a broken-off choice without a number": Row(choice("Half", "error"), "provider_error", 3, "maybe", opens=True),
    "an error under 200 with a number": Row(
        body({"error": {"code": 503, "message": "x"}}), "http_503", 3, "no", opens=True
    ),
    "an error under 200 with a word": Row(
        body({"error": {"code": "x", "message": "x"}}), "provider_error", 3, "maybe", opens=True
    ),
    "an error under 200 that will not pass": Row(body({"error": {"code": 401, "message": "x"}}), "http_401", 1, "no"),
    "the token limit before any text": Row(choice(None, "length", reasoning_content="hmm"), "token_limit", 1, "yes"),
    "an unclosed thought at the limit": Row(choice("<think>hmm", "length"), "token_limit", 1, "yes"),
    "no text": Row(choice(" "), "empty_response", 1, "yes"),
    "tool calls alone": Row(choice(None, "tool_calls", tool_calls=[{}]), "empty_response", 1, "yes"),
    "choices null": Row(body({"choices": None}), "malformed_answer", 2, "maybe", opens=True),
    "choices empty": Row(body({"choices": []}), "malformed_answer", 2, "maybe", opens=True),
    "204": Row(body("", 204), "malformed_answer", 2, "maybe", opens=True),
    "an empty body": Row(body(""), "malformed_answer", 2, "maybe", opens=True),
    "HTML": Row({"fault": "html"}, "malformed_answer", 2, "maybe", opens=True),
    "not JSON": Row(body("{'a'"), "malformed_answer", 2, "maybe", opens=True),
    "wrong types": Row(choice(7), "malformed_answer", 2, "maybe", opens=True),
    "a number of 5,000 digits": Row(
        body('{"choices": ' + "9" * 5000 + "}"), "malformed_answer", 2, "maybe", opens=True
    ),
    "gzip": Row({"fault": "gzip", "status": 200}, "unasked_format", 1, "yes"),
    "an event stream": Row(body("data: {}\n\n", Content_Type="text/event-stream"), "unasked_format", 1, "yes"),
    "too large": Row({"fault": "big"}, "answer_too_large", 1, "yes"),
    "an h2 preface": Row(wire("\x00\x00\x12\x04\x00\x00\x00\x00\x00"), "not_http", 2, "maybe", opens=True),
    "101": Row(
        wire("HTTP/1.1 101 Other\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"), "not_http", 2, "maybe", opens=True
    ),
    "a header that is none": Row(wire("HTTP/1.1 200 OK\r\nX-A : 1\r\n\r\n"), "not_http", 2, "maybe", opens=True),
    "ended early": Row({"fault": "cut_body"}, "connection_lost", 3, "maybe", opens=True),
    "no answer in time": Row({"fault": "hang"}, "read_timeout", 2, "maybe", opens=True, seconds={"read_seconds": 1.0}),
    "a used-up account": Row(body(QUOTA, 429), "quota_exhausted", 1, "no", opens=True),
    "a used-up account under 402": Row(
        body({"error": {"code": "insufficient_quota", "message": "x"}}, 402), "quota_exhausted", 1, "no", opens=True
    ),
    "a rest beyond the deadline": Row(status(429) | {"retry_after": 40_000}, "http_429", 1, "no", opens=True),
    "an answer from another geography": Row(
        message("end_turn"), "wrong_region", 1, "yes", kind="anthropic", changes={"geography": "eu"}
    ),
    "an answer from the geography": Row(
        message("end_turn"), None, 1, "yes", kind="anthropic", changes={"geography": "us"}
    ),
    "Anthropic's refusal": Row(message("refusal", "I can't."), None, 1, "yes", "provider", kind="anthropic"),
    "Anthropic's token limit": Row(message("max_tokens", ""), "token_limit", 1, "yes", kind="anthropic"),
    "a router's answer from another region": Row(
        router(metadata={"region": "eu-west"}), "wrong_region", 1, "yes", kind="hybrid"
    ),
    "a router's failure": Row(
        router(success=False, error_code="ROUTER_ERROR"), "provider_error", 3, "maybe", opens=True, kind="hybrid"
    ),
    "a router's failure with a number": Row(
        router(success=False, error_code="HTTP_503"), "http_503", 3, "maybe", opens=True, kind="hybrid"
    ),
    "a router's failure for good": Row(
        router(success=False, error_code="INVALID_MODEL"), "provider_refused_request", 1, "maybe", kind="hybrid"
    ),
    "a router's filter": Row(
        router(success=False, error_code="CONTENT_FILTER"), None, 1, "no", "filter", kind="hybrid"
    ),
    "402": Row(status(402), "http_other", 1, "no"),
    "451": Row(status(451), "http_other", 1, "no"),
    "another redirect": Row({"fault": "redirect_other", "status": 307}, "redirect_refused", 1, "no"),
    **{
        f"{n}": Row(status(n), f"http_{n}", 3, "no", opens=True)
        for n in (408, 409, 425, 429, 498, 500, 502, 503, 504, 529)
    },
    **{f"{n}": Row(status(n), "http_5xx", 3, "no", opens=True) for n in (507, 520, 521, 522, 523, 530)},
    "524": Row(status(524), "http_5xx", 3, "maybe", opens=True),
    **{f"{n}": Row(status(n), f"http_{n}", 1, "no") for n in (400, 401, 403, 404, 413, 422)},
    **{f"{n}": Row(status(n), "http_other", 1, "no") for n in (501, 505, 511, 418)},
}
