"""Failures that may pass: the call is tried again, and each try is kept."""

import time
from typing import Any

import pytest

from tests.asking import KINDS, Make, failure, question
from tests.jobs import until
from tests.provider_server import ProviderServer

TRANSIENT = {
    "429": ({"fault": "status", "status": 429}, "http_429"),
    "503": ({"fault": "status", "status": 503}, "http_503"),
    "529": ({"fault": "status", "status": 529}, "http_529"),
    "reset": ({"fault": "reset"}, "connection_lost"),
    "cut": ({"fault": "cut"}, "connection_lost"),
    "cut body": ({"fault": "cut_body"}, "connection_lost"),
    "truncated JSON": ({"fault": "truncated_json"}, "malformed_answer"),
    "HTML": ({"fault": "html"}, "malformed_answer"),
    "no choices": ({"fault": "raw", "text": '{"choices": []}'}, "malformed_answer"),
    "deep JSON": ({"fault": "raw", "text": "[" * 200_000}, "malformed_answer"),
    "endless number": ({"fault": "raw", "text": "9" * 100_000}, "malformed_answer"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rule", "code"), TRANSIENT.values(), ids=TRANSIENT)
def test_a_passing_failure_is_tried_again(
    server: ProviderServer, make: Make, kind: str, rule: dict[str, Any], code: str
) -> None:
    server.add_rule(times=1, **rule)
    providers, provider = make(kind)
    reply = providers.ask(provider, question())
    assert reply.calls == 2
    assert [error["code"] for error in reply.errors] == [code]
    assert reply.errors[0]["transient"] is True
    first, second = server.calls
    assert (first.path, first.body) == (second.path, second.body)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
def test_a_transient_status_fails_after_the_last_try(server: ProviderServer, make: Make, status: int) -> None:
    server.add_rule(fault="status", status=status)
    failed = failure(make(max_tries=4), question())
    assert (failed.code, failed.calls, len(failed.errors), len(server.calls)) == (f"http_{status}", 4, 3, 4)


def test_only_ten_errors_are_kept(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=503)
    failed = failure(make(max_tries=14, backoff_seconds=0.0, breaker_seconds=0.0), question())
    assert (failed.calls, len(failed.errors)) == (14, 10)


def test_the_error_object_has_exactly_the_contracts_fields(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=503, text="overloaded\x00")
    error = failure(make(max_tries=1), question()).error
    assert time.strptime(error.pop("timestamp")[:19], "%Y-%m-%dT%H:%M:%S")
    assert error == {
        "code": "http_503",
        "type": "http",
        "stage": "response",
        "message": "Provider openai-us: HTTP status 503. overloaded\ufffd",
        "transient": True,
        "http_status": 503,
        "provider": "openai-us",
        "region": "US",
        "model": "m1",
    }


def test_an_answer_malformed_twice_is_a_failure_for_good(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="html")
    failed = failure(make(max_tries=5), question())
    assert (failed.code, failed.calls, failed.error["transient"]) == ("malformed_answer", 2, False)
    assert failed.errors[0]["transient"] is True


def test_a_read_timeout_is_tried_once_more(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="hang")
    failed = failure(make(max_tries=5, read_seconds=1.5), question())
    assert (failed.code, failed.calls, failed.error["type"]) == ("read_timeout", 2, "timeout")
    assert len(server.wait_for_calls(2)) == 2


def test_nobody_listens(make: Make) -> None:
    with ProviderServer() as gone:
        url = gone.url
    failed = failure(make(base_url=url, max_tries=2), question())
    assert (failed.code, failed.error["stage"], failed.calls, len(failed.errors)) == ("connect_failed", "connect", 0, 1)


def test_a_kept_connection_that_was_closed_is_not_used(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="cut_after", times=1)
    providers, provider = make()
    providers.ask(provider, question())
    until(lambda: providers.idle_connections() == 0)
    assert providers.ask(provider, question()).errors == []
