"""A provider's gate: how many calls it admits at once, and the breaker."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from runner_worker.providers import CallFailed
from runner_worker.providers.breaker import Gate
from runner_worker.providers.failures import TryFailed
from tests.asking import Make, failure, question
from tests.provider_server import ProviderServer


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
    assert made[0].ask(made[1], question()).answer.text


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
