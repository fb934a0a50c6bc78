"""The chaos suite's checks find what is wrong: a test breaks one promise, and only that one is reported."""

import copy
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.chaos import tally as tallies
from bench.chaos.client import Submission
from bench.chaos.drills import Drill, too_late
from bench.chaos.tally import Tally, answer_text, check
from bench.chaos.tries import Tried, compare

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


def counted(job: dict[str, Any] | None, events: list[dict[str, Any]], calls: Calls) -> Tally:
    tally = Tally(verified=True)
    submission = Submission(1, ["US", "EU"], ["m1"], QUESTIONS, b"", accepted=5.0, ids={"chaos-000001"})
    check(tally, submission, job, events, calls)
    return tally


def test_good_books_are_clean(job: dict[str, Any], events: list[dict[str, Any]], calls: Calls) -> None:
    tally = counted(job, events, calls)
    assert tally.clean
    assert (tally.terminal, tally.region_runs, tally.answers, tally.repeated, tally.vain_calls) == (1, 2, 4, [], 0)


def test_a_call_whose_question_failed_in_the_end_was_in_vain(
    job: dict[str, Any], events: list[dict[str, Any]], calls: Calls
) -> None:
    job["executions"][0] |= {"status": "failed", "error_detail": {"code": "connection_lost"}}
    tally = counted(job, events, calls)
    assert (tally.answers, tally.vain_calls, tally.failures) == (3, 1, {"connection_lost": 1})
    assert tally.clean


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
    "a row missing": (lambda job, *_: job["executions"].pop(), (1, 0, 1, 0)),
    "a row twice": (lambda job, *_: job["executions"].append(job["executions"][0]), (0, 2, 0, 0)),
    "another's answer": (set_to("executions.0.output", {"response": "answer 0"}), (0, 0, 2, 0)),
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
    tally = counted(*changed)
    found = (len(tally.lost), len(tally.duplicated), len(tally.wrong), len(tally.repeated))
    assert found == (lost, duplicated, wrong, repeated), (tally.lost, tally.duplicated, tally.wrong)
    assert tally.clean == (not (lost or duplicated or wrong))


def test_the_providers_log_and_the_answers_are_counted_against_each_other(
    job: dict[str, Any], events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One question was asked twice; a call that was not answered well is no call that somebody paid for."""
    log = tmp_path / "calls.jsonl"
    cells = [(region, question) for region in ("US", "EU") for question in QUESTIONS]

    def call(region: str, question: str, fault: str = "none") -> str:
        body = {"model": "m1", "messages": [{"content": question}]}
        return json.dumps({"path": f"/{region}/v1/chat/completions", "body": body, "fault": fault, "time": 1.0})

    log.write_text("\n".join([*(call(*cell) for cell in cells), call(*cells[0]), call(*cells[1], fault="reset")]))
    written = [
        {"label": "chaos-000001", "region": region, "model_id": "m1", "question": question, "tries": n}
        | {"in_struck_attempts": 0, "cut": 0}
        for (region, question), n in zip(cells, (2, 2, 1, 1), strict=True)
    ]
    deployment: Any = SimpleNamespace(calls=log, local=SimpleNamespace(api_url=""), ask=lambda _: written)
    monkeypatch.setattr(tallies, "read_job", lambda *_: (job, events))
    monkeypatch.setattr(tallies, "jobs_by_label", lambda _: Counter({"chaos-000001": 1}))
    monkeypatch.setattr(tallies, "verify", lambda _: True)
    answered = Submission(1, ["US", "EU"], ["m1"], QUESTIONS, b"", accepted=5.0, ids={"chaos-000001"})
    silent = Submission(2, ["US"], ["m1"], QUESTIONS, b"")
    good = tallies.count(deployment, [answered, silent])
    assert (good.accepted, good.unanswered_clients, good.calls, good.answers) == (1, 1, 5, 4)
    assert (len(good.repeated), good.tries, good.received, good.clean) == (1, 6, 6, True)

    with log.open("a") as more:
        more.write("\n" + call("US", "chaos-000002 question 1?"))
    tally = tallies.count(deployment, [answered])
    assert [words for _, words in tally.wrong] == [
        "6 calls are not answers, repeated and vain ones together",
        "chaos-000002 US m1: 1 requests received, 0 tries written",
    ]
    monkeypatch.setattr(tallies, "jobs_by_label", lambda _: Counter({"chaos-000001": 2}))
    assert len(tallies.count(deployment, [answered]).duplicated) == 1


CELL = ("chaos-000001", "US", "m1", QUESTIONS[0])


@pytest.mark.parametrize(
    ("tried", "received", "wrong", "struck"),
    [
        (Tried(2, 0, 0), 2, 0, 0),
        (Tried(1, 0, 0), 2, 1, 0),  # a request without a row
        (Tried(2, 0, 0), 1, 1, 0),  # a row without a request, and no fault
        (Tried(2, 1, 0), 1, 0, 1),  # its worker was killed
        (Tried(2, 0, 1), 1, 0, 1),  # its connection was cut
        (Tried(4, 1, 1), 1, 1, 0),  # one more than the faults explain
    ],
)
def test_every_try_is_received_or_explained(tried: Tried, received: int, wrong: int, struck: int) -> None:
    tally = Tally()
    compare(tally, {CELL: tried}, Counter({CELL: received}))
    assert (len(tally.wrong), len(tally.struck)) == (wrong, struck)
    assert (tally.tries, tally.received) == (tried.rows, received)


def test_a_recovery_later_than_promised_breaks_the_promise() -> None:
    assert too_late([Drill("flushed", 1000, 2.0, 10.0)], [15.0, 17.0], 15.0) == []
    late = too_late([Drill("flushed", 1000, 2.1, 10.1)], [15.0, 17.1], 15.0)
    assert [words.rsplit(" after ")[0] for words in late] == [
        "flushed: noticed",
        "flushed: staged again",
        "a killed worker's region was claimed",
    ]
