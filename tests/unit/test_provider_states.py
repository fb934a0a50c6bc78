"""What live workers tell of their providers, in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner_api.views.provider_states import ProviderState, holder_of, provider_states
from runner_core.statuses import ALIVE_SECONDS
from runner_worker.providers.state import MOST_TOLD, ModelState, as_json

NOW = datetime(2026, 11, 26, 13, 5, 53, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)


def told(model: str = "half", **changes: Any) -> dict[str, Any]:
    """A state as a worker's heartbeat writes it."""
    (one,) = as_json([ModelState("fake-us", model, 16, **{"in_flight": 1} | changes)])
    return one


def worker(*states: dict[str, Any], pid: int = 7, silent: float = 1.0, region: str = "US") -> dict[str, Any]:
    return {
        **{"kind": "worker", "region": region, "host": "h", "pid": pid, "seconds_since": silent},
        "providers": list(states),
    }


def one(*workers: dict[str, Any]) -> ProviderState:
    (state,) = provider_states(workers)
    return state


PAUSED = told(in_flight=0, waiting=400, failures=12, open_until=LATER.timestamp(), last_code="http_500")


def test_an_open_breaker_is_told_in_one_sentence() -> None:
    state = one(worker(PAUSED))
    assert state.breaker(NOW) == "open"
    assert state.pause(NOW) == (
        "fake-us is paused for half until 13:06:23 UTC after 12 failures (last http_500); 400 calls wait."
    )
    assert state.queue() == ""


def test_after_its_time_a_breaker_lets_one_call_pass() -> None:
    state = one(worker(PAUSED | {"in_flight": 1, "waiting": 1}))
    assert state.breaker(LATER) == "half open"
    assert state.pause(LATER) == (
        "fake-us gets one call at a time for half after 12 failures (last http_500); 1 call waits."
    )


def test_without_calls_that_wait_none_are_told() -> None:
    state = one(worker(PAUSED | {"waiting": 0}))
    assert state.pause(NOW).endswith("after 12 failures (last http_500).")


def test_calls_that_wait_for_a_place_are_told_with_the_places() -> None:
    state = one(worker(told(in_flight=16, waiting=1200, last_code="ok")))
    assert (state.breaker(NOW), state.pause(NOW)) == ("closed", "")
    assert state.queue() == "fake-us has 16 calls of half in flight and takes 16 at once; 1,200 calls wait."
    assert one(worker(told(in_flight=3))).queue() == ""


def test_two_workers_with_different_states_are_one_line_that_says_so() -> None:
    calm = told(in_flight=4, waiting=2, last_code="ok")
    state = one(worker(PAUSED), worker(calm, pid=8))
    assert (state.in_flight, state.width, state.waiting, state.workers) == (4, 32, 402, 2)
    assert state.pause(NOW) == (
        "fake-us is paused for half in 1 of 2 workers until 13:06:23 UTC after 12 failures (last http_500); "
        "402 calls wait."
    )
    longer = (LATER + timedelta(seconds=5)).timestamp()
    both = one(worker(PAUSED), worker(told(failures=6, open_until=longer, last_code="http_502"), pid=8))
    assert both.pause(NOW).startswith("fake-us is paused for half until 13:06:28 UTC after 12 failures (last http_500)")
    assert one(worker(PAUSED), worker(pid=8)).pause(NOW).startswith("fake-us is paused for half in 1 of 2 workers")


@pytest.mark.parametrize(("silent", "counts"), [(ALIVE_SECONDS - 1, True), (ALIVE_SECONDS, False)])
def test_nothing_is_told_of_a_silent_worker(silent: float, counts: bool) -> None:
    assert bool(provider_states([worker(PAUSED, silent=silent)])) is counts


def test_a_worker_of_an_earlier_release_tells_nothing() -> None:
    old = worker() | {"providers": None}
    assert provider_states([old]) == []
    assert one(old, worker(PAUSED, pid=8)).workers == 1


def test_the_lines_are_in_the_order_of_regions_providers_and_models() -> None:
    found = provider_states([worker(told("b"), told("a"), region="EU"), worker(told("c"))])
    assert [(state.region, state.model) for state in found] == [("US", "c"), ("EU", "a"), ("EU", "b")]


def test_a_regions_worker_is_found_by_the_name_that_its_run_has() -> None:
    processes = [worker(pid=70), worker(pid=7), worker(pid=7, region="EU")]
    assert holder_of("us-h-7-ab12", processes) is processes[1]
    assert holder_of("us-other-7-ab12", processes) is None
    assert holder_of(None, processes) is None


class TestHeartbeat:
    def test_only_what_tells_something_is_written_the_most_telling_first(self) -> None:
        states = [
            ModelState("p", "idle", 4, last_code="ok"),
            ModelState("p", "busy", 4, in_flight=2),
            ModelState("p", "shaky", 4, failures=2, last_code="http_503"),
            ModelState("p", "full", 4, in_flight=4, waiting=9),
            ModelState("p", "open", 4, failures=5, open_until=1.0),
        ]
        assert [state["model"] for state in as_json(states)] == ["open", "full", "shaky", "busy"]

    def test_times_are_rfc_3339(self) -> None:
        state = told(open_until=1764162383.25, in_flight_since=1764162353.0)
        assert (state["open_until"], state["in_flight_since"]) == (
            "2025-11-26T13:06:23.250Z",
            "2025-11-26T13:05:53.000Z",
        )
        assert told()["open_until"] is None

    def test_no_more_than_200_are_written(self) -> None:
        many = [ModelState("p", f"m{n:03}", 4, in_flight=1, waiting=n) for n in range(500)]
        written = as_json(many)
        assert len(written) == MOST_TOLD == 200
        assert written[0]["model"] == "m499"
