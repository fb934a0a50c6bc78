"""Requests that reach no provider, or that get no answer because we end them: code, tries, payment, breaker."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runner_core.upstreams import Provider
from tests.asking import BlockingProviders, Make, failure, question
from tests.provider_server import ProviderServer

Made = tuple[BlockingProviders, Provider]


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a server that takes connections, and reads and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]


@pytest.fixture
def nobody() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def opened(made: Made, ask: Callable[[], Any]) -> bool:
    """Whether five calls that end so open the breaker."""
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: ask(), range(5)))
    return made[0].providers.is_open(made[1].id, "m1")


def check(make: Make, code: str, calls: int, **changes: Any) -> None:
    """A failed try is followed by all others, is not paid for, and counts as a failure. `calls`: tries that may have
    reached the provider."""
    prompt = changes.pop("prompt", "Who?")
    found = failure(make(**changes), question(prompt=prompt))
    assert (found.code, found.calls, len(found.errors), found.paid) == (code, calls, 2, "no")
    made = make(max_tries=1, breaker_seconds=600.0, **changes)
    assert opened(made, lambda: failure(made, question(prompt=prompt)))


def test_no_connection(make: Make, nobody: int) -> None:
    check(make, "connect_failed", 0, base_url=f"http://127.0.0.1:{nobody}")


def test_no_connection_in_time(make: Make, deaf: int) -> None:
    """Nobody answers the TLS handshake."""
    check(make, "connect_timeout", 0, base_url=f"https://127.0.0.1:{deaf}", read_seconds=0.2)


def test_a_request_that_is_not_taken(make: Make, deaf: int) -> None:
    check(make, "write_timeout", 3, base_url=f"http://127.0.0.1:{deaf}", read_seconds=1.0, prompt="x" * 16_000_000)


def test_our_deadline_teaches_the_breaker_nothing(server: ProviderServer, make: Make) -> None:
    made = make(breaker_seconds=600.0)
    made[0].ask(made[1], question())  # the connection is kept: the deadline cannot end a connecting
    server.add_rule(fault="hang")
    found = failure(made, question(seconds=1.5))
    assert (found.code, found.calls, found.paid) == ("timeout", 1, "maybe")  # the provider had the request
    assert not opened(made, lambda: failure(made, question(seconds=0.2)))
    found = failure(made, question(seconds=-1))
    assert (found.code, found.calls, found.paid) == ("timeout", 0, "no")


def test_a_cancellation_teaches_the_breaker_nothing(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="hang")
    made, cancelled = make(breaker_seconds=600.0), threading.Event()
    with ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(failure, made, question(), cancelled) for _ in range(5)]
        server.wait_for_calls(5)
        cancelled.set()
        found = [(call.result().code, call.result().paid) for call in calls]
    assert found == [("cancelled", "maybe")] * 5
    assert not made[0].providers.is_open(made[1].id, "m1")


def test_an_open_breaker_is_not_paid_for(server: ProviderServer, make: Make) -> None:
    server.add_rule(fault="status", status=503)
    made = make(max_tries=1, breaker_seconds=600.0)
    assert opened(made, lambda: failure(made, question()))
    found = failure(made, question(seconds=0.2))
    assert (found.code, found.calls, found.paid, len(server.calls)) == ("provider_unavailable", 0, "no", 5)
