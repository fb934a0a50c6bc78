"""What a gate tells of a model: calls in flight, calls that wait, failures, the breaker."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from runner_worker.providers.breaker import Gate
from runner_worker.providers.failures import TryFailed
from runner_worker.providers.state import ModelState

FAR = 3600.0  # seconds


def far() -> float:
    return time.monotonic() + FAR


async def fail(gate: Gate, code: str = "http_500", model: str = "m", times: int = 1) -> None:
    for _ in range(times):
        with suppress(TryFailed):
            async with gate.admitted(model, far()):
                raise TryFailed(code)


async def hold(gate: Gate, leave: asyncio.Event, model: str = "m") -> None:
    async with gate.admitted(model, far()):
        await leave.wait()


async def settle() -> None:
    """Let everything run that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_a_model_that_nobody_asked_has_nothing_to_tell() -> None:
    gate = Gate("p", 4)
    assert gate.models() == []
    assert gate.state("m") == ModelState("p", "m", 4)
    assert not gate.state("m").tells


def test_calls_in_flight_and_calls_that_wait_are_counted_by_model() -> None:
    async def story() -> None:
        gate, leave = Gate("p", 2), asyncio.Event()
        began = time.time()
        tasks = [asyncio.create_task(hold(gate, leave, model)) for model in ("a", "b", "b", "b")]
        await settle()
        a, b = gate.state("a"), gate.state("b")
        assert (a.in_flight, a.waiting, b.in_flight, b.waiting, b.width) == (1, 0, 1, 2, 2)
        assert a.in_flight_since is not None
        assert began <= a.in_flight_since <= time.time()
        tasks[2].cancel()  # it leaves the line
        await settle()
        assert gate.state("b").waiting == 1
        leave.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert gate.state("b") == ModelState("p", "b", 2, last_code="ok")

    run(story())


def test_the_oldest_call_in_flight_says_since_when() -> None:
    async def story() -> None:
        gate, first, second = Gate("p", 2), asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(hold(gate, first)), asyncio.create_task(hold(gate, second))]
        await settle()
        oldest = gate.state("m").in_flight_since
        second.set()
        await settle()
        assert (gate.state("m").in_flight, gate.state("m").in_flight_since) == (1, oldest)
        first.set()
        await asyncio.gather(*tasks)
        assert gate.state("m").in_flight_since is None

    run(story())


def test_failures_in_a_row_open_the_breaker_and_an_answer_closes_it() -> None:
    async def story() -> None:
        gate = Gate("p", 8, open_seconds=30.0)
        await fail(gate, times=4)
        assert gate.state("m") == ModelState("p", "m", 8, failures=4, last_code="http_500")
        leave = asyncio.Event()
        late = asyncio.create_task(hold(gate, leave))  # in flight when the breaker opens
        await settle()
        before = time.time()
        await fail(gate, "http_503")
        state = gate.state("m")
        assert (state.failures, state.last_code) == (5, "http_503")
        assert state.open_until is not None
        assert before + 30 <= state.open_until <= time.time() + 30
        leave.set()
        await late
        assert gate.state("m") == ModelState("p", "m", 8, last_code="ok")

    run(story())


def test_a_probe_is_in_flight_while_the_others_wait_and_a_failed_one_opens_the_breaker_again() -> None:
    async def story() -> None:
        gate, leave = Gate("p", 8, open_seconds=0.0), asyncio.Event()
        await fail(gate, times=5)
        first = gate.state("m").open_until
        assert first is not None
        tasks = [asyncio.create_task(hold(gate, leave)) for _ in range(3)]
        await settle()
        state = gate.state("m")
        assert (state.in_flight, state.waiting, state.open_until) == (1, 2, first)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert gate.state("m").last_code == "http_500", "a cancelled probe says nothing"
        await fail(gate, "http_502")
        again = gate.state("m")
        assert (again.failures, again.last_code) == (6, "http_502")
        assert again.open_until is not None
        assert again.open_until > first

    run(story())


def test_a_permanent_failure_is_told_as_the_last_code_and_is_no_failure_of_the_breaker() -> None:
    async def story() -> None:
        gate = Gate("p", 8)
        await fail(gate, times=2)
        await fail(gate, "http_404")
        assert gate.state("m") == ModelState("p", "m", 8, last_code="http_404")

    run(story())


def test_the_end_of_a_calls_time_is_nobodys_code() -> None:
    async def story() -> None:
        gate = Gate("p", 8)
        await fail(gate, "http_500")
        await fail(gate, "timeout")
        assert gate.state("m") == ModelState("p", "m", 8, failures=1, last_code="http_500")

    run(story())


def test_one_models_breaker_says_nothing_of_its_neighbour() -> None:
    async def story() -> None:
        gate = Gate("p", 8)
        await fail(gate, model="bad", times=5)
        await fail(gate, "http_404", model="good")
        assert gate.state("bad").open_until is not None
        assert gate.state("good") == ModelState("p", "good", 8, last_code="http_404")
        assert sorted(gate.models()) == ["bad", "good"]

    run(story())
