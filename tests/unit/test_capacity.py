"""How many calls a worker takes in hand, and which go first: the one place that counts them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runner_core.regions import Catalogue
from runner_core.store.region_runs import Room
from runner_worker.engine.capacity import Capacity
from runner_worker.engine.runs import Call, Message, Run
from tests.jobs import catalogue

Plan = Callable[..., list[Run]]


@pytest.fixture
def regions(tmp_path: Path) -> Catalogue:
    return catalogue(tmp_path, {"US": {"max_concurrency": 3}})


@pytest.fixture
def planned(regions: Catalogue) -> Plan:
    """planned(2, "m1", width=3): two new runs with a call of each model; the provider takes three at once."""

    def make(count: int, *models: str, width: int = 3) -> list[Run]:
        wide = replace(regions, providers=[replace(p, max_concurrency=width) for p in regions.providers])
        rows: list[dict[str, Any]] = [
            {
                **{"job_id": f"job-{number}", "region": "US", "token": f"t-{number}", "attempt": 1, "request_id": "r"},
                **{"traceparent": "", "provider_timeout_seconds": 60.0, "timeout_seconds": 60.0},
                **{"started_at": datetime.now(UTC), "questions": [{"id": "q", "text": "?"}], "runs": 1},
                "parameters": None,
                "models": models or ("m1",),
            }
            for number in range(count)
        ]
        return [Run(row, Message(row["job_id"], "US", "r", "d"), lambda *_: None, wide) for row in rows]

    return make


def closed(provider: str, model: str) -> bool:
    return False


def calls_of(runs: list[Run]) -> list[Call]:
    return [call for run in runs for call in run.plan]


async def held(capacity: Capacity, call: Call, until: asyncio.Event) -> None:
    async with capacity.place(call):
        await until.wait()


async def settle() -> None:
    """Let everything run that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_there_is_room_for_as_many_calls_as_places_less_those_in_hand(planned: Plan) -> None:
    capacity = Capacity(10, 100, closed)
    assert capacity.room() == 10
    runs = planned(4)
    capacity.claimed(runs)
    assert (capacity.room(), capacity.in_hand(), capacity.runs()) == (6, 4, 4)
    capacity.ended(runs[0])
    assert (capacity.room(), capacity.in_hand(), capacity.runs()) == (7, 3, 3)


def test_a_run_that_waits_to_be_written_again_keeps_a_place(planned: Plan) -> None:
    assert Capacity(10, 100, closed, kept=lambda: 3).room() == 7


def test_calls_of_seconds_are_not_prefetched_and_short_ones_are(planned: Plan) -> None:
    capacity = Capacity(10, 20, closed)
    for _ in range(100):
        capacity.claim_took(0.01)
    assert capacity.prefetch() == 0

    async def short_calls() -> None:
        for call in calls_of(planned(200)):
            call.started = call.sent = True
            call.begun = asyncio.get_running_loop().time()
            async with capacity.place(call):
                pass

    asyncio.run(short_calls())
    assert capacity.prefetch() == 40, "two claims of full size at most"
    assert capacity.room() == 50
    capacity.claimed(planned(31))
    assert capacity.room() == 0, "until half of what was prefetched is used up"


def test_a_claim_starts_calls_that_have_a_place_at_their_provider(planned: Plan, regions: Catalogue) -> None:
    capacity = Capacity(10, 100, closed)
    us = [provider for provider in regions.providers if provider.region == "US"]
    assert capacity.rooms(us) == ([Room("US", "m1", "p-us", 3), Room("US", "m2", "p-us", 3)], 10)
    capacity.claimed(planned(2))
    assert capacity.rooms(us) == ([Room("US", "m1", "p-us", 1), Room("US", "m2", "p-us", 1)], 8)
    wide = [replace(provider, max_concurrency=256) for provider in us]
    assert [room.calls for room in capacity.rooms(wide)[0]] == [8, 8], "the process has ten places"
    capacity.claimed(planned(1))
    assert capacity.rooms(us) == ([], 7)


def test_the_width_of_a_provider_is_the_bound_also_when_the_process_has_256_places(planned: Plan) -> None:
    capacity = Capacity(256, 100, closed)

    async def story() -> int:
        done = asyncio.Event()
        tasks = [asyncio.create_task(held(capacity, call, done)) for call in calls_of(planned(300, width=8))]
        await settle()
        made = capacity.in_flight()
        done.set()
        await asyncio.gather(*tasks)
        return made

    assert asyncio.run(story()) == 8


def test_a_claim_starts_no_call_whose_breaker_is_open(regions: Catalogue) -> None:
    capacity = Capacity(10, 100, lambda provider, model: model == "m2")
    assert {room.model_id for room in capacity.rooms(regions.providers)[0]} == {"m1"}


def test_calls_get_their_places_in_order_and_a_cancelled_one_leaves_none_behind(planned: Plan) -> None:
    async def story() -> None:
        capacity = Capacity(1, 100, closed)
        first, second, third, fourth = calls_of(planned(4))
        done = [asyncio.Event() for _ in range(4)]
        calls = zip((first, second, third, fourth), done, strict=True)
        tasks = [asyncio.create_task(held(capacity, call, end)) for call, end in calls]
        await settle()
        assert capacity.in_flight() == 1
        tasks[1].cancel()
        done[0].set()
        await tasks[0]
        await settle()
        assert capacity.in_flight() == 1
        done[2].set()  # it is the third that has the place
        await tasks[2]
        done[3].set()
        await tasks[3]
        assert capacity.in_flight() == 0

    asyncio.run(story())


def test_a_call_that_is_cancelled_as_it_is_let_in_gives_its_place_back(planned: Plan) -> None:
    async def story() -> None:
        capacity = Capacity(1, 100, closed)
        call, other = calls_of(planned(2))
        done = asyncio.Event()
        done.set()
        task = asyncio.create_task(held(capacity, call, asyncio.Event()))
        await asyncio.sleep(0)  # it waits
        capacity.look()  # it is let in, and has not noticed
        task.cancel()
        await asyncio.wait({task})
        assert capacity.in_flight() == 0
        await held(capacity, other, done)

    asyncio.run(story())


def test_calls_that_wait_for_a_breaker_leave_their_places_to_other_models(planned: Plan) -> None:
    opened = {"m2"}

    async def story() -> None:
        capacity = Capacity(3, 100, lambda provider, model: model in opened)
        runs = planned(6, "m2") + planned(2, "m1")
        capacity.claimed(runs)
        done = asyncio.Event()
        tasks = [asyncio.create_task(held(capacity, call, done)) for call in calls_of(runs)]
        await settle()
        assert capacity.in_flight() == 3, "one probe, and the two of the other model"
        assert capacity.in_hand() == 2
        opened.clear()
        capacity.look()
        await settle()
        assert capacity.in_flight() == 3, "the breaker is closed, the probe counts again"
        assert capacity.in_hand() == 8
        done.set()
        await asyncio.gather(*tasks)
        assert (capacity.in_flight(), capacity.in_hand()) == (0, 0)

    asyncio.run(story())
