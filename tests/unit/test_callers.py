"""The threads that call: as wide as asked, no wider, and few where nothing blocks."""

import threading
from queue import SimpleQueue

from runner_worker.engine.callers import Callers

PATIENCE_SECONDS = 20


def test_calls_that_block_run_side_by_side_up_to_the_width() -> None:
    begun: SimpleQueue[int] = SimpleQueue()
    let_go = threading.Semaphore(0)

    def work(number: int) -> None:
        begun.put(number)
        let_go.acquire()

    callers = Callers(5, work)
    for number in range(12):
        callers.put(number)
    first = [begun.get(timeout=PATIENCE_SECONDS) for _ in range(5)]
    assert (first, begun.empty()) == ([0, 1, 2, 3, 4], True), "the sixth waits for a thread"
    let_go.release(7)
    rest = [begun.get(timeout=PATIENCE_SECONDS) for _ in range(7)]
    assert sorted(rest) == [5, 6, 7, 8, 9, 10, 11]
    let_go.release(5)
    callers.close()


def test_every_call_is_made_once_whoever_brings_it() -> None:
    made: SimpleQueue[tuple[int, int]] = SimpleQueue()
    callers = Callers(8, made.put)

    def bring(who: int) -> None:
        for number in range(500):
            callers.put((who, number))

    givers = [threading.Thread(target=bring, args=(who,)) for who in range(4)]
    for giver in givers:
        giver.start()
    found = [made.get(timeout=PATIENCE_SECONDS) for _ in range(2000)]
    assert sorted(found) == [(who, number) for who in range(4) for number in range(500)]
    assert made.empty()
    callers.close()


def test_a_thread_that_went_to_sleep_comes_back_for_the_next_call() -> None:
    names: SimpleQueue[str] = SimpleQueue()
    callers: Callers[None] = Callers(3, lambda _: names.put(threading.current_thread().name))
    for _ in range(50):
        callers.put(None)
        names.get(timeout=PATIENCE_SECONDS)
    callers.close()


def test_closed_callers_forget_what_nobody_works_on_and_end() -> None:
    begun, let_go = threading.Event(), threading.Event()
    made: list[int] = []

    def work(number: int) -> None:
        begun.set()
        let_go.wait(PATIENCE_SECONDS)
        made.append(number)

    before = set(threading.enumerate())
    callers = Callers(1, work)
    callers.put(1)
    callers.put(2)
    assert begun.wait(PATIENCE_SECONDS)
    (thread,) = set(threading.enumerate()) - before
    callers.close()
    let_go.set()
    thread.join(PATIENCE_SECONDS)
    assert (made, thread.is_alive()) == ([1], False)
