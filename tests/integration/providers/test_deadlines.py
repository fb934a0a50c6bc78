"""Retry-After, the deadline of a call, and its cancellation."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from runner_worker.providers import CallFailed
from tests.asking import KINDS, Make, failure, question
from tests.jobs import until
from tests.provider_server import ProviderServer


def test_retry_after_is_honoured(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=429, retry_after=1, times=1)
    providers, provider = make()
    providers.ask(provider, question())
    first, second = server.calls
    assert 0.95 <= second.monotonic - first.monotonic < 10


def test_a_date_in_retry_after_is_honoured(server: ProviderServer, make: Make) -> None:
    at = int(time.time()) + 3
    server.add_rule(fault="status", status=503, retry_after=formatdate(at, usegmt=True), times=1)
    providers, provider = make()
    providers.ask(provider, question())
    _, second = server.calls
    assert at - 0.1 <= second.time < at + 30


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
    made = make(kind)
    made[0].ask(made[1], question())  # the connection is kept: the deadline cannot end a connecting
    server.add_rule(fault=fault)
    started = time.monotonic()
    failed = failure(made, question(seconds=1.5))
    assert 1.5 <= time.monotonic() - started < 10
    assert (failed.code, failed.error["type"], failed.error["stage"]) == ("timeout", "timeout", "response")
    assert failed.calls == 1


def test_a_deadline_in_the_past_calls_nobody(server: ProviderServer, make: Make) -> None:
    failed = failure(make(), question(seconds=-1))
    assert (failed.code, failed.calls, server.calls) == ("timeout", 0, [])


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
