"""The providers against a real HTTP server on loopback, which answers well, badly, slowly or not at all.

Long, because every line of the table of failures is caused here, with one server and one way to build a provider.
"""

import asyncio
import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from runner_core.errors import ConfigError
from runner_core.regions import Catalogue, Provider, Region
from runner_core.settings import Settings
from runner_worker.providers import Ask, CallFailed, Providers
from runner_worker.providers.ask import TryFailed
from runner_worker.providers.breaker import Gate
from runner_worker.providers.response import LARGEST_ANSWER
from tests.asking import BlockingProviders
from tests.certificates import self_signed
from tests.jobs import until
from tests.provider_server import ProviderServer

KEY = "sk-live-0123456789abcdef"
PROMPT = "What happened in 1989?"
KINDS = ("openai", "hybrid")
Make = Callable[..., tuple[BlockingProviders, Provider]]


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def make(server: ProviderServer) -> Iterator[Make]:
    """Makes Providers with one provider of a kind; short rests, since how long they are is tested apart."""
    made: list[BlockingProviders] = []

    def build(kind: str = "openai", **changes: Any) -> tuple[BlockingProviders, Provider]:
        seconds = {name: changes.pop(name) for name in tuple(changes) if name.endswith("_seconds")}
        tries = changes.pop("max_tries", 3)
        provider = Provider(
            id=f"{kind}-us",
            region="US",
            kind=kind,
            base_url="" if kind == "sandbox" else f"{server.url}/US/v1",
            api_key_env="" if kind == "sandbox" else "PROVIDER_KEY",
            max_concurrency=64,
            max_tokens=500,
            models={"m1": "upstream-1"},
        )
        provider = replace(provider, **changes)
        settings = Settings.from_env({"PROVIDER_MAX_TRIES": str(tries)})
        providers = BlockingProviders(
            catalogue_of(provider), settings, {"PROVIDER_KEY": KEY}, **({"backoff_seconds": 0.01} | seconds)
        )
        made.append(providers)
        return providers, provider

    yield build
    for providers in made:
        providers.close()


def catalogue_of(*providers: Provider) -> Catalogue:
    return Catalogue(
        sha256="0" * 64,
        default_model="m1",
        questions={},
        regions={
            "US": Region("US", "United States", ("us-east", "us-central"), "", "us-east"),
            "EU": Region("EU", "Europe", ("eu-west",), "", "eu-west"),
        },
        providers=list(providers),
        refusal_patterns=(re.compile(r"\bas an ai\b", re.IGNORECASE),),
    )


def question(seconds: float = 30.0, **changes: Any) -> Ask:
    values: dict[str, Any] = {
        "region": "US",
        "model_id": "m1",
        "upstream": "upstream-1",
        "prompt": PROMPT,
        "question_id": "q1",
        "system_prompt": "You are in the US.",
        "seed": 7,
        "request_id": "req-1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "deadline": time.monotonic() + seconds,
    }
    return Ask(**(values | changes))


def failure(made: tuple[BlockingProviders, Provider], ask: Ask, cancelled: threading.Event | None = None) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        made[0].ask(made[1], ask, cancelled)
    return caught.value


# What is sent, what is kept.


def test_openai_sends_the_contract_and_keeps_the_answer(server: ProviderServer, make: Make) -> None:
    providers, provider = make()
    reply = providers.ask(provider, question())
    (call,) = server.calls
    assert call.path == "/US/v1/chat/completions"
    assert call.body == {
        "model": "upstream-1",
        "messages": [{"role": "system", "content": "You are in the US."}, {"role": "user", "content": PROMPT}],
        "temperature": 0.1,
        "max_tokens": 500,
        "seed": 7,
        "stream": False,
    }
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.headers["x-request-id"] == "req-1"
    assert call.headers["traceparent"].startswith("00-0af7")
    assert call.headers["host"] == f"127.0.0.1:{server.port}"
    assert reply.response.startswith("answer ")
    assert (reply.refused, reply.refusal_source, reply.finish_reason) == (False, None, "stop")
    assert reply.usage == {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    assert (reply.simulated, reply.sanitised, reply.provider_id) == (False, False, "openai-us")
    assert (reply.calls, reply.errors) == (1, [])


def test_hybrid_sends_the_contract_and_keeps_the_answer(server: ProviderServer, make: Make) -> None:
    providers, provider = make("hybrid")
    reply = providers.ask(provider, question())
    (call,) = server.calls
    assert call.path == "/US/v1/inference"
    assert call.body == {
        "model": "upstream-1",
        "prompt": f"You are in the US.\n\n{PROMPT}",
        "temperature": 0.1,
        "max_tokens": 500,
        "region_preference": "us-east",
        "cost_priority": False,
    }
    assert reply.response.startswith("answer ")
    assert reply.usage == {"inference_time": 0.01, "cost_estimate": 0.0001, "provider_used": "loopback"}


def test_a_connection_is_used_again(server: ProviderServer, make: Make) -> None:
    providers, provider = make()
    for _ in range(5):
        providers.ask(provider, question())
    assert {call.connection for call in server.calls} == {1}


def test_a_request_id_that_no_header_can_carry_is_left_out(server: ProviderServer, make: Make) -> None:
    providers, provider = make()
    providers.ask(provider, question(request_id="a\r\nX-Evil: 1", traceparent=""))
    assert not {"x-request-id", "x-evil", "traceparent"} & server.calls[0].headers.keys()


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    return self_signed(tmp_path)


def test_over_tls_a_slow_answer_is_waited_for(make: Make, certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slower than the interval at which a call looks at its cancellation: the reads go on where they were."""
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    with ProviderServer(certificate=certificate) as secure:
        secure.add_rule(delay=1.3)
        providers, provider = make(base_url=secure.url)
        assert providers.ask(provider, question(), threading.Event()).calls == 1


def test_a_certificate_that_is_not_trusted_gets_no_question(make: Make, certificate: str) -> None:
    with ProviderServer(certificate=certificate) as secure:
        failed = failure(make(base_url=secure.url, max_tries=1), question())
        assert (failed.code, failed.calls, secure.calls) == ("connect_failed", 0, [])


# Refusals.


def test_a_refusal_by_the_provider(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="refusal")
    providers, provider = make()
    reply = providers.ask(provider, question())
    assert (reply.refused, reply.refusal_source, reply.response) == (True, "provider", "I can't help with that.")


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_by_its_words(server: ProviderServer, make: Make, kind: str) -> None:
    server.add_rule(text="Well, as an AI I would rather not.")
    providers, provider = make(kind)
    reply = providers.ask(provider, question())
    assert (reply.refused, reply.refusal_source) == (True, "pattern")


def test_a_quoted_refusal_far_down_is_none(server: ProviderServer, make: Make) -> None:
    server.add_rule(text="A long story. " * 60 + "As an AI, it said.")
    providers, provider = make()
    assert providers.ask(provider, question()).refused is False


# Failures that pass.

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
    failed = failure(make(max_tries=5, read_seconds=0.1), question())
    assert (failed.code, failed.calls, failed.error["type"], len(server.calls)) == ("read_timeout", 2, "timeout", 2)


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


# Retry-After and the deadline.


def test_retry_after_is_honoured(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=429, retry_after=1, times=1)
    providers, provider = make()
    providers.ask(provider, question())
    first, second = server.calls
    assert 0.95 <= second.monotonic - first.monotonic < 10


def test_a_date_in_retry_after_is_honoured(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=503, retry_after=formatdate(time.time() + 2, usegmt=True), times=1)
    providers, provider = make()
    providers.ask(provider, question())
    first, second = server.calls
    assert 0.9 <= second.monotonic - first.monotonic < 10


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=429, retry_after=3600)
    started = time.monotonic()
    failed = failure(make(), question(seconds=20))
    assert (failed.code, failed.calls) == ("http_429", 1)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("fault", ["hang", "drip"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_deadline_ends_a_call(server: ProviderServer, make: Make, kind: str, fault: str) -> None:
    """The slow drip too, whose every single byte comes in time."""
    server.add_rule(fault=fault)
    started = time.monotonic()
    failed = failure(make(kind), question(seconds=0.4))
    assert 0.4 <= time.monotonic() - started < 10
    assert (failed.code, failed.error["type"], failed.error["stage"]) == ("timeout", "timeout", "response")
    assert failed.calls == 1


def test_a_deadline_in_the_past_calls_nobody(server: ProviderServer, make: Make) -> None:
    failed = failure(make(), question(seconds=-1))
    assert (failed.code, failed.calls, server.calls) == ("timeout", 0, [])


# Cancellation.


def test_cancelling_wakes_the_rest_between_tries_at_once(
    server: ProviderServer, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.add_rule(fault="status", status=503, retry_after=25)
    cancelled = threading.Event()
    providers, provider = make()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(providers.ask, provider, question(), cancelled)
        until(lambda: "retry_in_ms=" in caplog.text)
        started = time.monotonic()
        cancelled.set()
        error = future.exception(20)
    assert isinstance(error, CallFailed)
    assert (error.code, error.calls, len(error.errors)) == ("cancelled", 1, 1)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_cancelling_ends_a_call_in_flight(server: ProviderServer, make: Make, fault: str) -> None:
    server.add_rule(fault=fault)
    cancelled = threading.Event()
    providers, provider = make()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(providers.ask, provider, question(), cancelled)
        server.wait_for_calls(1)
        started = time.monotonic()
        cancelled.set()
        error = future.exception(20)
    assert isinstance(error, CallFailed)
    assert (error.code, error.calls) == ("cancelled", 1)
    assert time.monotonic() - started < 10


# Failures for good.


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
@pytest.mark.parametrize("kind", KINDS)
def test_a_permanent_status_is_not_tried_again(server: ProviderServer, make: Make, kind: str, status: int) -> None:
    server.add_rule(fault="status", status=status)
    failed = failure(make(kind), question())
    assert (failed.code, failed.calls, failed.error["http_status"]) == (f"http_{status}", 1, status)
    assert failed.error["transient"] is False


def test_an_unknown_status_does_not_become_a_label(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=418)
    failed = failure(make(), question())
    assert (failed.code, failed.error["http_status"]) == ("http_other", 418)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_text(server: ProviderServer, make: Make, kind: str) -> None:
    server.add_rule(fault="empty")
    failed = failure(make(kind), question())
    assert (failed.code, failed.calls, failed.error["transient"]) == ("empty_response", 1, False)


def test_another_region_is_never_accepted(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="wrong_region", region="eu-west")
    failed = failure(make("hybrid"), question())
    assert (failed.code, failed.calls) == ("wrong_region", 1)


@pytest.mark.parametrize("name", ["us-east", "US", "us_central"])
def test_every_name_of_the_region_is_accepted(server: ProviderServer, make: Make, name: str) -> None:
    server.add_rule(fault="wrong_region", region=name)
    providers, provider = make("hybrid")
    assert providers.ask(provider, question()).response


@pytest.mark.parametrize(
    ("error_code", "code", "calls"),
    [
        ("ROUTER_ERROR", "provider_error", 3),
        ("INVALID_MODEL", "provider_refused_request", 1),
        ("HTTP_503", "http_503", 3),
        ("401", "http_401", 1),
    ],
)
def test_the_routers_own_failure(server: ProviderServer, make: Make, error_code: str, code: str, calls: int) -> None:
    server.add_rule(fault="failure", text=error_code)
    failed = failure(make("hybrid"), question())
    assert (failed.code, failed.calls) == (code, calls)
    assert failed.error["message"].endswith("no capacity")


def test_a_failure_under_http_200(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="failure", status=503, times=1)
    providers, provider = make()
    assert providers.ask(provider, question()).errors[0]["code"] == "http_503"


# Redirects.


@pytest.mark.parametrize("kind", KINDS)
def test_303_to_the_same_origin_is_followed_with_get(server: ProviderServer, make: Make, kind: str) -> None:
    server.add_rule(fault="redirect_same", times=1)
    providers, provider = make(kind)
    reply = providers.ask(provider, question())
    post, get = server.calls
    assert (post.method, get.method, get.body) == ("POST", "GET", None)
    assert get.path.startswith("/result/1/")
    assert reply.calls == 1


def test_303_is_followed_until_the_deadline_and_never_in_a_hurry(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="redirect_same", hops=1000, times=1)
    failed = failure(make(), question(seconds=1.6))
    assert (failed.code, failed.calls) == ("timeout", 1)
    assert len(server.calls) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_elsewhere_is_refused(server: ProviderServer, make: Make, status: int) -> None:
    with ProviderServer() as other:
        server.add_rule(fault="redirect_other", status=status, location=f"{other.url}/result/1")
        failed = failure(make(), question())
        assert (failed.code, failed.calls, other.calls) == ("redirect_refused", 1, [])


@pytest.mark.parametrize("location", ["", "//127.0.0.1:9/x", "file:///etc/passwd", "http://[", "http://127.0.0.1:x/"])
def test_a_location_that_is_no_place_is_refused(server: ProviderServer, make: Make, location: str) -> None:
    server.add_rule(fault="redirect_other", location=location)
    assert failure(make(), question()).code == "redirect_refused"


# Hostile answers.


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
    assert (reply.response, reply.sanitised) == ("before\ufffd\ufffdafter", True)


@pytest.mark.parametrize("forbidden", ["00", "ff"], ids=["NUL", "not UTF-8"])
@pytest.mark.parametrize("kind", KINDS)
def test_raw_bytes_that_json_forbids_are_replaced(
    server: ProviderServer, make: Make, kind: str, forbidden: str
) -> None:
    server.add_rule(fault="raw_nul", text=forbidden)
    providers, provider = make(kind)
    reply = providers.ask(provider, question())
    assert (reply.response, reply.sanitised) == ("before \ufffd after", True)


def test_only_known_counts_are_kept_of_usage(server: ProviderServer, make: Make) -> None:
    usage = '{"prompt_tokens": NaN, "completion_tokens": -1, "total_tokens": 5, "note": "\\u0000"}'
    server.add_rule(fault="raw", text=f'{{"choices": [{{"message": {{"content": "x"}}}}], "usage": {usage}}}')
    providers, provider = make()
    reply = providers.ask(provider, question())
    assert (reply.usage, reply.finish_reason) == ({"total_tokens": 5}, None)


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


# The gate: concurrency and breaker.


def test_no_more_calls_at_once_than_the_provider_allows(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="hang", times=2)
    providers, provider = make(max_concurrency=2, max_tries=1)
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(providers.ask, provider, question()) for _ in range(5)]
        server.wait_for_calls(2)
        late = failure((providers, provider), question(seconds=0.3))
        assert (late.code, late.error["stage"], late.calls) == ("timeout", "waiting", 0)
        cancelled = threading.Event()
        cancelled.set()
        assert failure((providers, provider), question(), cancelled).code == "cancelled"
        assert len(server.calls) == 2
        server.release()
        errors = [future.exception(20) for future in futures]
    assert len(server.calls) == 5
    assert sum(error is None for error in errors) == 3


def test_five_failures_in_a_row_open_the_breaker(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=503)
    made = make(max_tries=1)
    for _ in range(5):
        assert failure(made, question()).code == "http_503"
    failed = failure(made, question(seconds=0.3))
    assert (failed.code, failed.calls, failed.error["stage"]) == ("provider_unavailable", 0, "waiting")
    assert len(server.calls) == 5


def test_one_probe_closes_the_breaker(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=503, times=5)
    server.add_rule(fault="hang", times=1)
    providers, provider = make(max_tries=1, breaker_seconds=0.2)
    for _ in range(5):
        failure((providers, provider), question())
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(providers.ask, provider, question()) for _ in range(4)]
        server.wait_for_calls(6)
        assert failure((providers, provider), question(seconds=0.5)).code == "provider_unavailable"
        assert len(server.calls) == 6
        server.release()  # the probe's connection ends: open again, then another probe
        results = [future.exception(20) for future in futures]
    assert [type(result) for result in results].count(CallFailed) == 1
    assert len(server.calls) == 9


def test_a_permanent_failure_interrupts_the_row(server: ProviderServer, make: Make) -> None:
    made = make(max_tries=1, breaker_seconds=3600)
    for status in (503, 503, 503, 503, 400, 503, 503, 503, 503):
        server.set_rules([{"fault": "status", "status": status}])
        failure(made, question())
    server.set_rules([])
    assert made[0].ask(made[1], question()).response


def test_the_line_is_served_in_order_and_forgets_who_left() -> None:
    async def story() -> list[int]:
        gate = Gate("p", 1)
        far = time.monotonic() + 30
        order: list[int] = []
        leave = asyncio.Event()

        async def hold() -> None:
            async with gate.admitted("m1", far):
                await leave.wait()

        async def wait(number: int, deadline: float) -> None:
            try:
                async with gate.admitted("m1", deadline):
                    order.append(number)
            except TryFailed:
                order.append(-number)

        tasks = [asyncio.create_task(hold())]
        for number in (1, 2, 3):
            tasks.append(asyncio.create_task(wait(number, time.monotonic() + 0.3 if number == 2 else far)))
        await asyncio.wait({tasks[2]})
        leave.set()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(story()) == [-2, 1, 3]


def test_who_leaves_the_line_when_it_is_let_in_gives_its_place_back() -> None:
    async def story() -> str:
        gate = Gate("p", 1)
        far = time.monotonic() + 30

        async def wait() -> str:
            async with gate.admitted("m1", far):
                return "in"

        async with gate.admitted("m1", far):
            first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
            await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(story()) == "in"


# Configuration and metrics.


def test_every_mistake_is_told_at_once() -> None:
    plain = Provider("a", "US", "openai", "http://127.0.0.1:1", "NO_SUCH_KEY", 1, 1, {"m1": "m1"})
    providers = [
        plain,
        replace(plain, id="b", api_key_env="BAD_KEY"),
        replace(plain, id="c", kind="sandbox", options={"delay_seconds": "long", "fial": 1, "fail": "sometimes"}),
    ]
    with pytest.raises(ConfigError) as caught:
        Providers(catalogue_of(*providers), Settings.from_env({}), {"BAD_KEY": "a\nb"})
    text = str(caught.value)
    assert len(caught.value.mistakes) == 5
    assert "NO_SUCH_KEY" in text
    assert "fial is not an option" in text


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_calls_and_tokens_are_counted(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=503, times=1)
    providers, provider = make(id="counted")
    providers.ask(provider, question(model_id="counted-model"))
    assert counted("provider_requests_total", region="US", provider="counted", code="http_503") == 1
    assert counted("provider_requests_total", region="US", provider="counted", code="ok") == 1
    assert counted("provider_tokens_total", region="US", model="counted-model", direction="input") == 11
    assert counted("provider_tokens_total", region="US", model="counted-model", direction="output") == 7


# The sandbox.


def test_the_sandbox_always_gives_the_same_simulated_answer(make: Make) -> None:
    providers, provider = make("sandbox")
    one, two = (providers.ask(provider, question()) for _ in range(2))
    assert one == two
    assert (one.simulated, one.refused, one.provider_id, one.calls) == (True, False, "sandbox-us", 1)
    assert one.usage["total_tokens"] > 0


def test_the_sandbox_differs_between_regions_and_questions(make: Make) -> None:
    providers, provider = make("sandbox")
    asked = [question(region=region, question_id=f"q{n}") for region in ("US", "EU") for n in range(8)]
    assert len({providers.ask(provider, ask).response for ask in asked}) > 6


def test_the_sandbox_refuses_to_order(make: Make) -> None:
    providers, provider = make("sandbox", options={"refuse": ["q2"]})
    replies = [providers.ask(provider, question(question_id=name)) for name in ("q1", "q2")]
    assert [(reply.refused, reply.refusal_source) for reply in replies] == [(False, None), (True, "provider")]


@pytest.mark.parametrize(("code", "calls"), [("http_503", 3), ("http_401", 1)])
def test_the_sandbox_fails_to_order(make: Make, code: str, calls: int) -> None:
    failed = failure(make("sandbox", options={"fail": code}), question())
    assert (failed.code, failed.calls) == (code, calls)


def test_the_sandbox_hangs_until_the_deadline_or_the_cancellation(make: Make) -> None:
    made = make("sandbox", options={"hang": True})
    assert failure(made, question(seconds=0.1)).code == "timeout"
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    assert failure(made, question(), cancelled).code == "cancelled"


def test_the_sandbox_delays(make: Make) -> None:
    providers, provider = make("sandbox", options={"delay_seconds": 0.2})
    started = time.monotonic()
    providers.ask(provider, question(), threading.Event())
    assert time.monotonic() - started >= 0.2


def test_the_sandbox_needs_no_http_client() -> None:
    """A worker that simulates pays neither the memory nor the start time of one."""
    code = "import sys, runner_worker.providers as p; print(sorted({'httptools', 'httpx2', 'h11'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Many at once, and the server on its own.


def test_four_hundred_calls_at_once(server: ProviderServer, make: Make) -> None:
    server.add_rule(delay=0.5)
    providers, provider = make(max_concurrency=400)
    with ThreadPoolExecutor(400) as pool:
        replies = list(pool.map(lambda n: providers.ask(provider, question(prompt=f"p{n}")), range(800)))
    assert len({reply.response for reply in replies}) == 800
    assert {reply.calls for reply in replies} == {1}
    assert len({call.connection for call in server.calls}) <= 400


def test_the_server_runs_alone_and_writes_its_books_first(make: Make, tmp_path: Path) -> None:
    books = tmp_path / "calls.jsonl"
    command = [sys.executable, "-m", "tests.provider_server", "--log", str(books)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            rules = json.dumps([{"fault": "hang", "times": 1}]).encode()
            request = urllib.request.Request(f"{url}/_control/rules", rules, method="PUT")  # noqa: S310
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                assert json.load(answer) == {"rules": 1}
            providers, provider = make(base_url=f"{url}/EU/v1", read_seconds=0.3)
            assert providers.ask(provider, question()).calls == 2
        finally:
            process.terminate()
    lines = [json.loads(line) for line in books.read_text().splitlines()]
    assert [(line["number"], line["fault"], line["path"]) for line in lines] == [
        (1, "hang", "/EU/v1/chat/completions"),
        (2, "none", "/EU/v1/chat/completions"),
    ]
    assert lines[0]["body"]["messages"][-1]["content"] == PROMPT


@pytest.mark.parametrize(
    "sent", [b"", b"Content-Length: 1", b"Content-Length: 11\r\n\r\n", b'Content-Length: 11\r\n\r\n{"a": ']
)
def test_a_request_cut_off_within_its_head_or_body_is_no_call(server: ProviderServer, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"POST /EU/v1/chat/completions HTTP/1.1\r\n" + sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert server.calls == []
