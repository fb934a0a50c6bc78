"""A job's time as lanes, from rows alone."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner_api.views.lanes import WIDTH, lanes

BEGAN = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def job(plan: dict[str, list[str]], ended: float | None = 100) -> dict[str, Any]:
    return {"created_at": BEGAN, "completed_at": None if ended is None else at(ended), "plan": plan}


def region(name: str = "US", started: float | None = 10, finished: float | None = 100) -> dict[str, Any]:
    return {
        "region": name,
        "started_at": None if started is None else at(started),
        "finished_at": None if finished is None else at(finished),
    }


def call(began: float, ended: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "region": "US",
        "model_id": "m1",
        "begun": True,
        "started_at": at(began),
        "completed_at": None if ended is None else at(ended),
        "waited_ms": 0,
        "answered_ms": None,
        "retry_count": 0,
    } | changes


def times(*rows: dict[str, Any], ended: float | None = 100, now: float = 100) -> dict[str, float]:
    """The seconds that the bars of each kind cover."""
    (lane,) = lanes(job({"US": ["m1"]}, ended), [region()], rows, at(now)).lanes
    return {kind: lane.tracks[0].ms(kind) / 1000 for kind in ("waiting", "asking", "retrying")}


def test_a_call_waits_for_its_turn_and_is_asked() -> None:
    assert times(call(10, 40, waited_ms=20_000, answered_ms=10_000)) == {"waiting": 20, "asking": 10, "retrying": 0}


def test_a_call_waits_for_its_place_before_it_starts() -> None:
    """Its row is written when it has the place: what comes after that is no waiting."""
    assert times(call(40, 50, waited_ms=20_000, answered_ms=10_000)) == {"waiting": 20, "asking": 10, "retrying": 0}
    (lane,) = lanes(
        job({"US": ["m1"]}), [region()], [call(40, 50, waited_ms=20_000, answered_ms=10_000)], at(100)
    ).lanes
    bars = {bar.kind: re.findall(r"M(\d+) 0h(\d+)", bar.path) for bar in lane.tracks[0].bars}
    assert bars == {"waiting": [("200", "200")], "asking": [("400", "100")], "retrying": []}


def test_the_tries_before_the_last_are_told_from_it() -> None:
    found = times(call(10, 40, waited_ms=25_000, answered_ms=10_000, retry_count=2))
    assert found == {"waiting": 5, "asking": 10, "retrying": 20}, "five seconds for a place, twenty of failed tries"
    failed = times(call(10, 40, waited_ms=5_000, retry_count=2))
    assert failed == {"waiting": 5, "asking": 0, "retrying": 25}


def test_calls_side_by_side_cover_their_time_once() -> None:
    assert times(call(10, 30), call(20, 50), call(60, 70))["asking"] == 50


def test_a_call_without_an_end_goes_on_until_now() -> None:
    drawn = lanes(job({"US": ["m1"]}, None), [region(finished=None)], [call(10, None)], at(50))
    assert drawn.lanes[0].tracks[0].ms("asking") == 40_000
    assert (drawn.now, drawn.seconds) == (WIDTH, 50)
    assert lanes(job({"US": ["m1"]}), [region()], [], at(500)).now is None, "an ended job has no present"


def test_a_region_waits_until_its_first_call() -> None:
    (lane,) = lanes(job({"US": ["m1"]}), [region(started=10)], [call(25, 40)], at(100)).lanes
    assert lane.queued.ms == 25_000
    waits = lanes(job({"US": ["m1"]}, None), [region(started=None, finished=None)], [], at(30)).lanes[0]
    assert waits.queued.ms == 30_000


def test_regions_and_models_are_in_the_order_of_the_page() -> None:
    plan = {"ZZ": ["m1"], "EU": ["m2", "m1"], "US": ["m1"]}
    drawn = lanes(job(plan), [region(name) for name in plan], [], at(100))
    assert [lane.region for lane in drawn.lanes] == ["US", "EU", "ZZ"]
    assert [track.model for track in drawn.lanes[1].tracks] == ["m2", "m1"]


def test_the_times_of_a_track_are_those_of_its_calls() -> None:
    rows = [call(12, 20), call(15, 44), call(1, 2, begun=False, completed_at=None)]
    track = lanes(job({"US": ["m1"]}), [region()], rows, at(100)).lanes[0].tracks[0]
    assert (track.calls, track.done, track.began_ms, track.ended_ms) == (3, 2, 12_000, 44_000)


def test_nothing_is_drawn_outside() -> None:
    """A retry keeps answers that are older than it, and clocks differ."""
    (lane,) = lanes(job({"US": ["m1"]}, 50), [region()], [call(-20, 300)], at(50)).lanes
    (path,) = [bar.path for bar in lane.tracks[0].bars if bar.path]
    assert path == f"M0 0h{WIDTH}v10h-{WIDTH}z"


@pytest.mark.parametrize("seconds", [0.0, 0.004, 0.3, 3, 59, 100, 7000, 90_000, 40 * 86_400])
def test_the_axis_has_few_round_times(seconds: float) -> None:
    ticks = lanes(job({"US": ["m1"]}, seconds), [region()], [], at(seconds)).ticks
    assert ticks[0] == (0.0, "0")
    assert len(ticks) <= 7
    assert all(0 <= place <= WIDTH for place, _ in ticks)
    assert len({word for _, word in ticks}) == len(ticks)


def test_the_largest_job_has_a_small_picture() -> None:
    """2,000 calls of 8 models in 5 regions, each with a gap behind it: bars that the eye can't part are one."""
    plan = {name: [f"m{n}" for n in range(8)] for name in ("US", "EU", "ASIA", "AFRICA", "LATAM")}
    rows = [
        call(n * 2, n * 2 + 1, region=name, model_id=model, waited_ms=300, retry_count=n % 2, answered_ms=200)
        for name, models in plan.items()
        for model in models
        for n in range(50)
    ]
    assert len(rows) == 2000
    drawn = lanes(job(plan), [region(name) for name in plan], rows, at(100))
    paths = [bar.path for lane in drawn.lanes for track in lane.tracks for bar in track.bars]
    assert sum(map(len, paths)) < 150_000
    assert max(len(re.findall("M", path)) for path in paths) <= WIDTH / 2
