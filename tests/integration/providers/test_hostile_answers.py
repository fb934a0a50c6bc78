"""Answers that are too large, that PostgreSQL can't store, or that repeat a secret."""

import logging

import pytest

from runner_worker.providers.response import LARGEST_ANSWER
from tests.asking import KEY, KINDS, PROMPT, Make, failure, question
from tests.provider_server import ProviderServer


def test_a_ten_megabyte_answer_is_cut_off(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="big")
    failed = failure(make(), question())
    assert (failed.code, failed.calls) == ("answer_too_large", 1)


def test_an_announced_ten_megabytes_are_not_read(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="raw", text="x" * (LARGEST_ANSWER + 1))
    assert failure(make(), question()).code == "answer_too_large"


@pytest.mark.parametrize("kind", KINDS)
def test_what_postgresql_cannot_store_is_replaced(server: ProviderServer, make: Make, kind: str) -> None:
    server.add_rule(fault="nul")
    providers, provider = make(kind)
    reply = providers.ask(provider, question())
    assert (reply.answer.text, reply.answer.sanitised) == ("before\ufffd\ufffdafter", True)


@pytest.mark.parametrize("forbidden", ["00", "ff"], ids=["NUL", "not UTF-8"])
@pytest.mark.parametrize("kind", KINDS)
def test_raw_bytes_that_json_forbids_are_replaced(
    server: ProviderServer, make: Make, kind: str, forbidden: str
) -> None:
    server.add_rule(fault="raw_nul", text=forbidden)
    providers, provider = make(kind)
    reply = providers.ask(provider, question())
    assert (reply.answer.text, reply.answer.sanitised) == ("before \ufffd after", True)


def test_only_known_counts_are_kept_of_usage(server: ProviderServer, make: Make) -> None:
    usage = '{"prompt_tokens": NaN, "completion_tokens": -1, "total_tokens": 5, "note": "\\u0000"}'
    server.add_rule(fault="raw", text=f'{{"choices": [{{"message": {{"content": "x"}}}}], "usage": {usage}}}')
    providers, provider = make()
    reply = providers.ask(provider, question())
    assert (reply.answer.usage, reply.answer.finish_reason) == ({"total_tokens": 5}, None)


def test_neither_key_nor_prompt_is_logged_or_shown(
    server: ProviderServer, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.add_rule(fault="status", status=401, text=f"Incorrect API key {KEY} for {PROMPT}")
    failed = failure(make(), question())
    assert failed.error["message"].endswith(f"Incorrect API key [key] for {PROMPT}")
    assert "code=http_401" in caplog.text
    for secret in (KEY, PROMPT, "Incorrect"):
        assert secret not in caplog.text
        assert secret not in str(failed)
