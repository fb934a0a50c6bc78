"""One bad model of a provider: its own calls are held back, the other models' calls are not."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runner_core.regions import Catalogue, Provider, Region
from runner_core.settings import Settings
from runner_core.upstreams import UpstreamModel
from runner_worker.providers import Ask, CallFailed
from runner_worker.providers.breaker import Gate
from tests.asking import BlockingProviders
from tests.provider_server import ProviderServer

MODELS = {name: UpstreamModel(name) for name in ("good", "bad")}


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


def providers_at(
    server: ProviderServer, *, width: int = 64, breaker_seconds: float | None = 3600.0, **env: str
) -> BlockingProviders:
    provider = Provider("p", "US", "openai", f"{server.url}/US/v1", "", width, MODELS)
    regions = {"US": Region("US", "United States", (), "", "")}
    catalogue = Catalogue("0" * 64, "good", {}, regions, [provider], (re.compile("never"),))
    settings = Settings.from_env({"PROVIDER_MAX_TRIES": "1", **env})
    return BlockingProviders(catalogue, settings, {}, backoff_seconds=0.0, breaker_seconds=breaker_seconds)


def ask(
    providers: BlockingProviders, model: str, seconds: float = 30.0, cancelled: threading.Event | None = None
) -> str:
    """`ok`, or the code of the failure."""
    provider = Provider("p", "US", "openai", "", "", 64, MODELS)
    deadline = time.monotonic() + seconds
    question = Ask(region="US", model_id=model, upstream=MODELS[model], prompt="What is it?", deadline=deadline)
    try:
        providers.ask(provider, question, cancelled)
    except CallFailed as failed:
        return failed.code
    return "ok"


def asked(server: ProviderServer, model: str) -> int:
    return sum(call.body["model"] == model for call in server.calls)


def test_a_model_that_always_fails_holds_back_no_call_of_another(server: ProviderServer) -> None:
    server.add_rule(fault="status", status=500, match={"model": "bad"})
    providers = providers_at(server)
    assert [ask(providers, "bad") for _ in range(5)] == ["http_500"] * 5
    assert [ask(providers, "good") for _ in range(20)] == ["ok"] * 20
    assert ask(providers, "bad", seconds=0.1) == "provider_unavailable"
    assert (asked(server, "bad"), asked(server, "good")) == (5, 20)
    providers.close()


def test_good_answers_of_one_model_do_not_close_the_breaker_of_another(server: ProviderServer) -> None:
    server.add_rule(fault="status", status=500, match={"model": "bad"})
    providers = providers_at(server)
    for _ in range(5):
        ask(providers, "bad")
        ask(providers, "good")
    assert ask(providers, "bad", seconds=0.1) == "provider_unavailable"
    providers.close()


def test_calls_that_wait_for_a_breaker_let_later_calls_of_other_models_pass(server: ProviderServer) -> None:
    """They wait in front, and take none of the provider's places."""
    server.add_rule(fault="status", status=500, match={"model": "bad"})
    providers = providers_at(server, width=2)
    for _ in range(5):
        ask(providers, "bad")
    with ThreadPoolExecutor(20) as pool:
        leave = threading.Event()
        held = [pool.submit(ask, providers, "bad", 300.0, leave) for _ in range(10)]
        passed = [pool.submit(ask, providers, "good") for _ in range(10)]
        try:
            assert [future.result(60) for future in passed] == ["ok"] * 10
            assert not any(future.done() for future in held)
        finally:
            leave.set()
        assert {future.result(60) for future in held} == {"cancelled"}
    assert asked(server, "bad") == 5
    providers.close()


def test_the_bad_models_probe_is_a_call_of_its_own_and_brings_it_back(server: ProviderServer) -> None:
    server.add_rule(fault="status", status=500, match={"model": "bad"}, times=6)
    providers = providers_at(server, breaker_seconds=0.1)
    for _ in range(5):
        ask(providers, "bad")
    ask(providers, "good")
    assert ask(providers, "bad") == "http_500"  # the first probe
    assert ask(providers, "bad") == "ok"  # the second
    assert asked(server, "bad") == 7
    providers.close()


def test_the_environment_says_how_long_a_breaker_is_open(server: ProviderServer) -> None:
    server.add_rule(fault="status", status=500, times=5)
    short, long = (
        providers_at(server, breaker_seconds=None, BREAKER_SECONDS=seconds, BEACON_TEST="1")
        for seconds in ("0.1", "30")
    )
    for _ in range(5):
        ask(short, "bad")
    assert ask(short, "bad") == "ok"
    server.add_rule(fault="status", status=500, times=5)
    for _ in range(5):
        ask(long, "bad")
    assert ask(long, "bad", seconds=0.5) == "provider_unavailable"
    short.close()
    long.close()


def test_the_models_of_a_provider_share_its_places(server: ProviderServer) -> None:
    server.add_rule(fault="hang")
    providers = providers_at(server, width=2)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(ask, providers, model) for model in ("good", "bad", "good", "bad")]
        server.wait_for_calls(2)
        assert ask(providers, "good", seconds=0.2) == "timeout"
        assert len(server.calls) == 2
        server.set_rules([])  # the calls that come next are answered
        server.release()
        for call in calls:
            call.result(20)
    assert len(server.calls) == 4
    providers.close()


def test_of_two_models_that_wait_the_call_that_came_first_goes_first() -> None:
    async def story() -> list[Any]:
        gate = Gate("p", 1)
        order: list[Any] = []

        async def call(model: str, number: int) -> None:
            async with gate.admitted(model, time.monotonic() + 30):
                order.append((model, number))

        async with gate.admitted("a", time.monotonic() + 30):
            tasks = [asyncio.create_task(call(model, number)) for number, model in enumerate("abba")]
            while gate.waiting < len(tasks):
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(story()) == [("a", 0), ("b", 1), ("b", 2), ("a", 3)]
