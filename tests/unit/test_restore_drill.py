"""The restore drill's report: each broken promise is told, and a drill without work proves nothing."""

from collections import Counter

import pytest

from bench.drill.restore import Books, Snapshot, lines

CELL = ("job-1", "US", "m1", "job-1 question?")
OTHER = ("job-2", "US", "m1", "job-2 question?")


@pytest.fixture
def books() -> Books:
    """A drill that met work: one job had ended, one had a call under way, one is missing."""
    held = Snapshot({"job-1"}, {"job-2"}, {"1", "2"}, {("1", "US", "m1")}, {CELL}, {OTHER})
    return Books([], held, missing_jobs=1, missing_results=1, ended=2)


def test_a_drill_in_which_every_promise_was_kept(books: Books) -> None:
    books.count_asked(before=Counter([CELL, OTHER]), since=Counter([OTHER]))
    assert (books.asked_again, books.paid_again) == (0, Counter({"under way": 1}))
    assert lines(books)[-1] == "OK every promise was kept"
    assert books.status == 0


def test_what_had_ended_in_the_dump_is_asked_again(books: Books) -> None:
    books.count_asked(before=Counter([CELL, OTHER]), since=Counter([CELL]))
    assert lines(books)[-1] == "BROKEN asked again, though it had ended in the dump: 1 calls"
    assert books.status == 1


def test_a_call_is_made_twice_after_the_restore(books: Books) -> None:
    books.count_asked(before=Counter(), since=Counter({OTHER: 2}))
    assert lines(books)[-1] == "BROKEN asked 2 times after the restore: job-2 US m1"


def test_something_is_missing_and_not_named(books: Books) -> None:
    kept_jobs, kept_results = {"1", "2", "3"}, {("1", "US", "m1"), ("3", "EU", "m1")}
    books.count_named(kept_jobs, kept_results, named=[("3", "the job is missing"), ("3", "the job is missing")])
    assert (books.missing_jobs, books.missing_results, books.broken) == (1, 1, [])
    books.count_named(kept_jobs, kept_results, named=[("3", "the job is missing")])
    assert books.broken == ["named as missing: 1 documents; missing: 2"]


@pytest.mark.parametrize("nothing", ["missing_jobs", "missing_results"])
def test_a_drill_that_met_too_little_work(books: Books, nothing: str) -> None:
    setattr(books, nothing, 0)
    assert lines(books)[-1] == "INVALID the drill met too little work"
    assert books.status == 2
