"""Group commit: who shares a transaction with whom, and who hears of an error."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from runner_api.verbs.group_commit import GroupCommit
from runner_core.queries import Row
from runner_core.store.jobs import Entry
from tests.jobs import submission, until


class Away(Exception):
    """The database is away: the same for everybody."""


class Store:
    """Commits texts, one call at a time where it is gated; "bad" fails its whole group, "away" everybody's."""

    def __init__(self, max_bytes: int = 100) -> None:
        self.calls: list[list[str]] = []
        self.threads: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.group = GroupCommit(self.commit, is_common=lambda e: isinstance(e, Away), max_bytes=max_bytes)

    def put(self, item: str) -> str:
        """Put a job with this text as its id and its bytes; return the id of the committed row."""
        row = self.group.put(Entry(submission(item, spec_raw=item.encode()), "", "", "", ""))
        assert row is not None
        return str(row["id"])

    def commit(self, entries: Sequence[Entry]) -> list[Row | None]:
        items = [entry.job.job_id for entry in entries]
        self.calls.append(items)
        self.threads.append(threading.current_thread().name)
        assert self.gate.wait(20)
        if "away" in items:
            raise Away
        if "bad" in items:
            raise ValueError
        if "exit" in items:
            raise SystemExit
        return [{"id": item.upper()} for item in items]

    def together(self, pool: ThreadPoolExecutor, *items: str) -> list[Future[str]]:
        """Put "first", and the items one after the other while it is being committed."""
        self.gate.clear()
        futures = [pool.submit(self.put, "first")]
        until(lambda: self.calls == [["first"]])
        for number, item in enumerate(items, 1):
            futures.append(pool.submit(self.put, item))
            until(lambda number=number: self.group.queued == number)  # type: ignore[misc]
        self.gate.set()
        return futures


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(16)


def outcome(future: "Future[str]") -> str | type[BaseException] | None:
    error = future.exception(timeout=20)
    return type(error) if error else future.result()


def test_alone_an_item_is_committed_by_its_own_thread() -> None:
    store = Store()
    assert [store.put("a"), store.put("b")] == ["A", "B"]
    assert store.calls == [["a"], ["b"]]
    assert set(store.threads) == {threading.current_thread().name}


def test_what_comes_during_a_commit_shares_the_next_one(pool: ThreadPoolExecutor) -> None:
    store = Store()
    futures = store.together(pool, "a", "b", "c")
    assert [outcome(f) for f in futures] == ["FIRST", "A", "B", "C"]
    assert store.calls == [["first"], ["a", "b", "c"]]


def test_a_group_is_no_larger_than_it_may_be(pool: ThreadPoolExecutor) -> None:
    store = Store(max_bytes=5)
    futures = store.together(pool, "aa", "bb", "cc", "much too long", "dd")
    assert [outcome(f) for f in futures] == ["FIRST", "AA", "BB", "CC", "MUCH TOO LONG", "DD"]
    assert store.calls == [["first"], ["aa", "bb"], ["cc"], ["much too long"], ["dd"]]


def test_what_fails_a_group_fails_alone(pool: ThreadPoolExecutor) -> None:
    store = Store()
    futures = store.together(pool, "a", "bad", "b")
    assert [outcome(f) for f in futures] == ["FIRST", "A", ValueError, "B"]
    assert store.calls[:2] == [["first"], ["a", "bad", "b"]]
    assert sorted(store.calls[2:]) == [["a"], ["b"], ["bad"]]


def test_an_error_that_is_everybodys_is_tried_once(pool: ThreadPoolExecutor) -> None:
    store = Store()
    futures = store.together(pool, "a", "away", "b")
    assert [outcome(f) for f in futures] == ["FIRST", Away, Away, Away]
    assert store.calls == [["first"], ["a", "away", "b"]]


def test_an_error_that_is_everybodys_reaches_those_who_wait_behind(pool: ThreadPoolExecutor) -> None:
    store = Store()
    store.gate.clear()
    futures = [pool.submit(store.put, "away")]
    until(lambda: store.calls == [["away"]])
    futures += [pool.submit(store.put, item) for item in ("a", "b")]
    until(lambda: store.group.queued == 2)
    store.gate.set()
    assert [outcome(f) for f in futures] == [Away, Away, Away]
    assert store.calls == [["away"]]
    assert store.put("later") == "LATER"


def test_a_leader_that_is_ended_leaves_nobody_waiting(pool: ThreadPoolExecutor) -> None:
    store = Store()
    futures = store.together(pool, "exit", "a")
    assert [outcome(f) for f in futures] == ["FIRST", SystemExit, "A"]


@pytest.mark.parametrize("threads", [2, 16])
def test_under_load_everybody_gets_his_own_result_once(threads: int) -> None:
    store = Store()
    items = [f"item-{number}" for number in range(2000)]
    put: Callable[[str], str] = store.put
    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(put, items)) == [item.upper() for item in items]
    assert sorted(item for call in store.calls for item in call) == sorted(items)
