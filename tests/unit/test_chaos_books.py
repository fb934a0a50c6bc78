"""The chaos suite's accountant finds what is wrong: each promise is broken by hand, and it alone is reported."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from bench.chaos.books import Books, answer_text, check
from bench.chaos.client import Submission

QUESTIONS = ["chaos-000001 question 1?", "chaos-000001 question 2?"]
Calls = dict[str, dict[tuple[str, str, str], list[float]]]


def row(region: str, question: str) -> dict[str, Any]:
    return {
        "region": region,
        "model_id": "m1",
        "status": "completed",
        "output": {"response": answer_text(region, "m1", question)},
        "error_detail": None,
    }


@pytest.fixture
def job() -> dict[str, Any]:
    """What the API says of a job of two regions and two questions that went well."""
    cross = {"status": "completed", "success_count": 2, "total_regions": 2}
    return {
        "status": "completed",
        "version": 7,
        "cross_region": cross | {"min_regions_required": 1, "min_success_rate": 0.67},
        "progress": {"total": 2},
        "executions": [row(region, question) for region in ("US", "EU") for question in QUESTIONS],
    }


@pytest.fixture
def events() -> list[dict[str, Any]]:
    kinds = ["submitted", "region_claimed", "execution_recorded", "region_finished", "execution_recorded"]
    return [{"seq": n, "type": kind} for n, kind in enumerate([*kinds, "region_finished", "job_completed"], 1)]


@pytest.fixture
def calls() -> Calls:
    return {"chaos-000001": {(r, "m1", q): [1.0] for r in ("US", "EU") for q in QUESTIONS}}


def counted(job: dict[str, Any] | None, events: list[dict[str, Any]], calls: Calls) -> Books:
    books = Books(verified=True)
    submission = Submission(1, ["US", "EU"], ["m1"], QUESTIONS, b"", accepted=5.0, ids={"chaos-000001"})
    check(books, submission, job, events, calls)
    return books


def test_good_books_are_clean(job: dict[str, Any], events: list[dict[str, Any]], calls: Calls) -> None:
    books = counted(job, events, calls)
    assert books.clean
    assert (books.terminal, books.region_runs, books.answers, books.repeated, books.vain_calls) == (1, 2, 4, [], 0)


def test_a_call_whose_question_failed_in_the_end_was_in_vain(
    job: dict[str, Any], events: list[dict[str, Any]], calls: Calls
) -> None:
    job["executions"][0] |= {"status": "failed", "error_detail": {"code": "connection_lost"}}
    books = counted(job, events, calls)
    assert (books.answers, books.vain_calls, books.failures) == (3, 1, {"connection_lost": 1})
    assert books.clean


def test_an_unknown_job_is_lost(events: list[dict[str, Any]], calls: Calls) -> None:
    assert [at for at, _ in counted(None, events, calls).lost] == [5.0]


def twice_asked(job: dict[str, Any], events: list[dict[str, Any]], calls: Calls) -> None:
    calls["chaos-000001"]["US", "m1", QUESTIONS[0]].append(2.0)


def set_to(path: str, value: Any) -> Callable[..., None]:
    def change(job: Any, *_: object) -> None:
        *way, last = path.split(".")
        for name in way:
            job = job[int(name) if name.isdigit() else name]
        job[last] = value

    return change


BREAKS: dict[str, tuple[Callable[..., Any], tuple[int, int, int, int]]] = {
    "still running": (set_to("status", "running"), (1, 0, 0, 0)),
    "a row missing": (lambda job, *_: job["executions"].pop(), (1, 0, 0, 0)),
    "a row twice": (lambda job, *_: job["executions"].append(job["executions"][0]), (0, 2, 0, 0)),
    "another's answer": (set_to("executions.0.output", {"response": "answer 0"}), (0, 0, 1, 0)),
    "never asked": (lambda job, events, calls: calls["chaos-000001"].popitem(), (0, 0, 1, 0)),
    "asked twice": (twice_asked, (0, 0, 0, 1)),
    "a false status": (set_to("cross_region.status", "partial"), (0, 0, 1, 0)),
    "a false count": (set_to("cross_region.success_count", 1), (0, 0, 1, 0)),
    "a hole in the timeline": (lambda job, events, *_: events.pop(2), (0, 0, 1, 0)),
    "a false end": (lambda job, events, *_: events[-1].update(type="job_failed"), (0, 0, 1, 0)),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_broken_promise_is_found(
    name: str, job: dict[str, Any], events: list[dict[str, Any]], calls: Calls
) -> None:
    breaking, (lost, duplicated, wrong, repeated) = BREAKS[name]
    changed = copy.deepcopy((job, events, calls))
    breaking(*changed)
    books = counted(*changed)
    found = (len(books.lost), len(books.duplicated), len(books.wrong), len(books.repeated))
    assert found == (lost, duplicated, wrong, repeated), (books.lost, books.duplicated, books.wrong)
    assert books.clean == (not (lost or duplicated or wrong))
