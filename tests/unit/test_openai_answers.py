"""What is read from an answer of the chat completions protocol. The shapes are recorded ones, the texts are ours."""

from typing import Any

import pytest

from runner_worker.providers.ask import Answer
from runner_worker.providers.failures import Filtered, TryFailed
from runner_worker.providers.openai import read

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def chat(content: Any, finish: Any = "stop", **message: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "served-model",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
        ],
        "usage": USAGE,
    }


def answer(document: dict[str, Any]) -> Answer:
    return read(document, {})


def failed(document: dict[str, Any]) -> TryFailed:
    with pytest.raises(TryFailed) as caught:
        read(document, {})
    return caught.value


def test_who_answered_is_read() -> None:
    document = chat("Lima.") | {
        "system_fingerprint": "fp_1",
        "service_tier": "default",
        "provider": "Azure",
        "model": "gpt-x-2026\x00" + "y" * 300,
    }
    served = read(document, {"x-request-id": "req-1"}).served
    assert served == {
        "model": ("gpt-x-2026\ufffd" + "y" * 300)[:255],
        "fingerprint": "fp_1",
        "service_tier": "default",
        "upstream": "Azure",
        "request_id": "req-1",
    }
    assert answer(chat("Lima.")).served == {"model": "served-model", "request_id": "chatcmpl-1"}
    strange = chat("Lima.") | {"model": 7, "system_fingerprint": None, "service_tier": [], "id": {}}
    assert answer(strange).served == {}
    assert answer(chat("x") | {"usage": {"inference_geo": "eu"}}).served["geography"] == "eu"
    assert "geography" not in answer(chat("x") | {"usage": {"inference_geo": "not_available"}}).served


PARTS: dict[str, tuple[Any, str, str, tuple[str, ...]]] = {
    "Mistral": (
        [{"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}, {"type": "text", "text": "Lima."}],
        "Lima.",
        "hmm",
        (),
    ),
    "two texts": ([{"type": "text", "text": "Li"}, {"type": "text", "text": "ma."}], "Lima.", "", ()),
    "reasoning": ([{"type": "reasoning", "text": "so"}, {"type": "text", "text": "Lima."}], "Lima.", "so", ()),
    "other parts": (
        [{"type": "image_url", "image_url": {}}, {"type": "text", "text": "x"}, {"type": "image_url"}],
        "x",
        "",
        ("image_url",),
    ),
    "plain texts": (["Li", "ma."], "Lima.", "", ()),
}


@pytest.mark.parametrize(("content", "text", "thoughts", "others"), PARTS.values(), ids=PARTS)
def test_parts_are_joined(content: Any, text: str, thoughts: str, others: tuple[str, ...]) -> None:
    found = answer(chat(content))
    assert (found.text, found.thoughts, found.other_parts) == (text, thoughts, others)


THOUGHTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a block": (chat("<think>hmm</think>\n\nLima."), "Lima.", "hmm"),
    "in capitals, after a line": (chat("\n<THINK>hmm</THINK>Lima."), "Lima.", "hmm"),
    "two blocks": (chat("<think>a</think><think>b</think>Lima."), "Lima.", "a\n\nb"),
    "an empty block": (chat("<think>\n\n</think>\n\nLima."), "Lima.", ""),
    "the first tag is in the prompt": (chat("hmm</think>\nLima."), "Lima.", "hmm"),
    "reasoning_content": (chat("Lima.", reasoning_content="hmm"), "Lima.", "hmm"),
    "reasoning": (chat("Lima.", reasoning="hmm"), "Lima.", "hmm"),
    "both are one": (chat("Lima.", reasoning="hmm", reasoning_content="hmm"), "Lima.", "hmm"),
    "a tag in the middle is text": (chat("Write <think>x</think>."), "Write <think>x</think>.", ""),
}


@pytest.mark.parametrize(("document", "text", "thoughts"), THOUGHTS.values(), ids=THOUGHTS)
def test_thoughts_are_set_apart(document: dict[str, Any], text: str, thoughts: str) -> None:
    found = answer(document)
    assert (found.text, found.thoughts) == (text, thoughts)


FILTERED: dict[str, tuple[dict[str, Any], str]] = {
    "null": (chat(None, "content_filter"), ""),
    "empty": (chat("", "content_filter"), ""),
    "half a text": (chat("The events of", "content_filter"), "The events of"),
    "no message": ({"choices": [{"index": 0, "finish_reason": "content_filter"}]}, ""),
    "message null": ({"choices": [{"finish_reason": "content_filter", "message": None}]}, ""),
    "refusal": (chat("", "refusal"), ""),
    "Gemini's reason in capitals": (chat(None, "SAFETY"), ""),
    "guardrails": (chat("Half", "guardrail_intervened"), "Half"),
}


@pytest.mark.parametrize(("document", "partial"), FILTERED.values(), ids=FILTERED)
def test_a_filtered_answer_is_an_answer(document: dict[str, Any], partial: str) -> None:
    found = answer(document)
    assert (found.text, found.filter, found.partial) == ("", "output", partial)


def test_a_filters_categories_are_its_words() -> None:
    document = chat("Half", "content_filter")
    document["choices"][0]["content_filter_results"] = {"hate": {"filtered": True, "severity": "high"}}
    assert answer(document).filter_words == "hate: high"


def test_a_refusal_in_the_models_words_is_by_the_provider() -> None:
    for finish in ("stop", "refusal", None):
        found = answer(chat(None, finish, refusal="I can't."))
        assert (found.text, found.refused, found.filter) == ("I can't.", True, None)
    part = answer(chat([{"type": "refusal", "refusal": "I can't."}]))
    assert (part.text, part.refused) == ("I can't.", True)


def test_an_answer_that_ended_at_the_limit_is_an_answer() -> None:
    for reason in ("length", "MAX_TOKENS", "model_length"):
        found = answer(chat("The capital of Pe", reason))
        assert (found.text, found.finish_reason) == ("The capital of Pe", "length")
    assert failed(chat(None, "MAX_TOKENS")).code == "token_limit"


NO_TEXT: dict[str, tuple[dict[str, Any], str, str]] = {
    "thoughts used up the limit": (chat(None, "length", reasoning_content="hmm"), "token_limit", "hmm"),
    "an unclosed block": (chat("<think>hmm and", "length"), "token_limit", "hmm and"),
    "an unclosed block that stopped": (chat("<think>hmm", "stop"), "empty_response", "hmm"),
    "null": (chat(None), "empty_response", ""),
    "white space": (chat(" \n"), "empty_response", ""),
    "tool calls": (chat(None, "tool_calls", tool_calls=[{"id": "1"}]), "empty_response", ""),
    "no parts": (chat([]), "empty_response", ""),
}


@pytest.mark.parametrize(("document", "code", "partial"), NO_TEXT.values(), ids=NO_TEXT)
def test_an_answer_without_text(document: dict[str, Any], code: str, partial: str) -> None:
    found = failed(document)
    assert (found.code, found.partial, found.usage, found.paid) == (code, partial, USAGE, "yes")


MALFORMED: dict[str, dict[str, Any]] = {
    "no choices": {},
    "choices null": {"choices": None},
    "choices empty": {"choices": []},
    "a choice is a text": {"choices": ["x"]},
    "no message": {"choices": [{"finish_reason": "stop"}]},
    "a message is a text": {"choices": [{"message": "x"}]},
    "content is a number": chat(7),
    "content is an object": chat({"text": "x"}),
    "a part without a type": chat([{"text": "x"}]),
    "a text part without text": chat([{"type": "text"}]),
    "a refusal is an object": chat("x", refusal={}),
}


@pytest.mark.parametrize("document", MALFORMED.values(), ids=MALFORMED)
def test_wrong_shapes_are_malformed(document: dict[str, Any]) -> None:
    assert failed(document).code == "malformed_answer"


def broken(error: Any, content: Any = "The capital of Pe", finish: str = "error") -> dict[str, Any]:
    document = chat(content, finish)
    if error is not None:
        document["choices"][0]["error"] = error
    return document


@pytest.mark.parametrize(
    ("document", "code", "words", "partial"),
    [
        (
            broken({"code": 502, "message": "Upstream idle timeout"}),
            "http_502",
            "Upstream idle timeout",
            "The capital of Pe",
        ),
        (broken({"code": "502", "message": "x"}), "http_502", "x", "The capital of Pe"),
        (broken({"code": 502, "message": "x"}, finish="stop"), "http_502", "x", "The capital of Pe"),
        (broken({"code": "server_error", "message": "x"}), "provider_error", "x", "The capital of Pe"),
        (broken(None), "provider_error", "", "The capital of Pe"),
        (broken({"code": 524, "message": "x"}, content=None), "http_5xx", "x", ""),
        (broken("gone"), "provider_error", "gone", "The capital of Pe"),
    ],
)
def test_a_broken_off_answer_is_a_failure(document: dict[str, Any], code: str, words: str, partial: str) -> None:
    found = failed(document)
    assert (found.code, found.words, found.partial, found.paid) == (code, words, partial, "maybe")
    assert (found.usage, found.served["model"]) == (USAGE, "served-model")


@pytest.mark.parametrize(
    ("error", "code", "paid"),
    [
        ({"code": 503, "message": "x"}, "http_503", "no"),
        ({"code": 429, "message": "x"}, "http_429", "no"),
        ({"code": 418, "message": "x"}, "http_other", "no"),
        ({"code": "overloaded", "message": "x"}, "provider_error", "maybe"),
        ({"message": "x"}, "provider_error", "maybe"),
        ({"code": True, "message": "x"}, "provider_error", "maybe"),
        ({"code": 7, "message": "x"}, "provider_error", "maybe"),
        ({"code": 10**30, "message": "x"}, "provider_error", "maybe"),
    ],
)
def test_an_error_under_200(error: dict[str, Any], code: str, paid: str) -> None:
    for more in ({}, {"choices": []}, {"choices": chat("half")["choices"]}):
        found = failed({"error": error, **more})
        assert (found.code, found.words, found.paid) == (code, "x", paid)
        assert found.partial == ("half" if more.get("choices") else "")


def test_a_filters_error_under_200_is_a_blocked_prompt() -> None:
    with pytest.raises(Filtered):
        read({"error": {"code": "content_filter", "message": "no"}}, {})
    with pytest.raises(Filtered):
        read(broken({"code": "content_filter", "message": "no"}, content=None), {})


def test_a_filters_error_that_breaks_off_a_text_keeps_what_was_paid_for() -> None:
    error = {"code": "content_filter", "message": "no"}
    half = "The capital of Pe"
    for document in (broken(error), broken(error, finish="content_filter"), chat(half) | {"error": error}):
        found = answer(document)
        assert (found.text, found.filter, found.filter_words, found.partial) == ("", "output", "no", half)
        assert (found.usage, found.served["model"]) == (USAGE, "served-model")


def test_whole_floats_count() -> None:
    usage = {"prompt_tokens": 3.0, "completion_tokens": 2.5, "total_tokens": float("inf")}
    found = answer(chat("x") | {"usage": usage})
    assert found.usage == {"prompt_tokens": 3}
    assert type(found.usage["prompt_tokens"]) is int


def test_what_postgresql_cannot_store_is_replaced_in_thoughts_too() -> None:
    found = answer(chat("a\x00", reasoning="b\ud800"))
    assert (found.text, found.thoughts, found.sanitised) == ("a\ufffd", "b\ufffd", True)
