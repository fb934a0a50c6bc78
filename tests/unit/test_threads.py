"""Threads for blocking calls: whether they still turn is known, also while nobody waits for them."""

import threading
from collections.abc import Iterator

import pytest

from runner_core.loop_health import LoopHealth
from runner_worker.threads import DaemonThreads
from tests.jobs import until

NAME = "the threads of this test"  # an engine of another test may still have a thread that is called "writes"


@pytest.fixture
def health() -> LoopHealth:
    """A loop that must turn is stalled at once."""
    made = LoopHealth(0.0)
    made.all_added()
    return made


@pytest.fixture
def threads(health: LoopHealth) -> Iterator[DaemonThreads]:
    made = DaemonThreads(NAME, loop=health.add("writes"))
    yield made
    made.shutdown()


def test_threads_without_work_rest(health: LoopHealth, threads: DaemonThreads) -> None:
    assert health.ready()[0], "nothing was asked of them yet"
    threads.submit(int).result()
    until(lambda: health.ready()[0])


def test_a_thread_that_is_stuck_is_stalled(health: LoopHealth, threads: DaemonThreads) -> None:
    go_on = threading.Event()
    stuck = threads.submit(go_on.wait)
    waiting = threads.submit(int)
    assert not health.live()[0]
    go_on.set()
    assert stuck.result()
    assert waiting.result() == 0
    until(lambda: health.live()[0])


def test_a_thread_that_has_ended_is_stalled_when_there_is_work(health: LoopHealth, threads: DaemonThreads) -> None:
    threads.submit(int).result()
    until(lambda: health.live()[0])
    threads.shutdown()
    until(lambda: NAME not in {thread.name for thread in threading.enumerate()})
    threads.submit(int)
    assert not health.live()[0]


def test_work_that_fails_or_is_taken_back_is_a_turn(health: LoopHealth, threads: DaemonThreads) -> None:
    go_on = threading.Event()
    threads.submit(go_on.wait)
    taken_back, failing = threads.submit(int), threads.submit(int, "x")
    assert taken_back.cancel()
    go_on.set()
    with pytest.raises(ValueError, match="invalid literal"):
        failing.result()
    until(lambda: health.live()[0])
