"""A job's events in words, from rows alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner_api.views.timeline import REASONS, TITLES, Moment, moments

BEGAN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def event(kind: str, seq: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "type": kind,
        "region": None,
        "model_id": None,
        "actor": "alice",
        "detail": {},
        "at": BEGAN + timedelta(seconds=seq),
    } | changes


def moment(kind: str, outcomes: dict[str, str] | None = None, **changes: Any) -> Moment:
    (found,) = moments([event(kind, **changes)], BEGAN, outcomes or {})
    return found


def test_the_newest_is_first_and_counts_seconds_since_the_submission() -> None:
    found = moments([event("submitted", 1), event("job_running", 2)], BEGAN, {})
    assert [(m.seq, m.after, m.title) for m in found] == [(2, 2.0, "Job running"), (1, 1.0, "Submitted")]
    assert moment("submitted", at=BEGAN - timedelta(seconds=1)).after == 0.0, "clocks differ"


@pytest.mark.parametrize(
    ("kind", "detail", "text"),
    [
        ("submitted", {"form": "jcs", "units": 1}, "by alice, signature form jcs, 1 unit"),
        ("submitted", {"units": 6}, "by alice, unsigned, 6 units"),
        ("region_claimed", {"attempt": 2, "worker": "w"}, "attempt 2, w"),
        ("region_staged", {"reason": "message_lost"}, "Redis no longer had its message"),
        ("region_staged", {"reason": "of a later release"}, "of a later release"),
        ("region_released", {"call_begun": True}, "after calls had begun"),
        ("region_released", {}, "before its first call: no attempt counted"),
        ("execution_recorded", {"status": "failed", "code": "timeout"}, "failed · timeout"),
        ("execution_recorded", {"status": "cancelled", "code": "cancelled"}, "cancelled"),
        ("region_finished", {"completed": 1, "units": 2, "attempt": 3}, "1 of 2 units completed, attempt 3"),
        ("region_finished", {"completed": 1, "units": 1}, "1 of 1 unit completed"),
        ("cancel_requested", {}, "by alice"),
        ("job_completed", {"succeeded": 2, "regions": 3}, "2 of 3 regions succeeded"),
        ("job_completed", {}, ""),
        ("lease_expired", None, ""),
    ],
)
def test_what_an_event_says(kind: str, detail: dict[str, Any] | None, text: str) -> None:
    assert moment(kind, detail=detail).text == text


def test_a_retry_names_each_unit_and_what_it_failed_with() -> None:
    units = [
        {"model_id": "m1", "region": "US", "earlier": {"error": {"code": "timeout"}}},
        {"model_id": "m2", "region": "EU", "earlier": {"error": None}},
    ]
    assert moment("retry_requested", detail={"units": units}).text == "by alice: m1 in US (timeout), m2 in EU"
    by_code = moment("retry_requested", detail={"units": units[:1], "code": "http_503"})
    assert by_code.text == "by alice, what failed with http_503: m1 in US (timeout)"


@pytest.mark.parametrize(
    ("kind", "detail", "state"),
    [
        ("submitted", {}, "pending"),
        ("region_claimed", {}, "running"),
        ("lease_expired", {}, "failed"),
        ("execution_recorded", {"status": "completed"}, "completed"),
        ("region_finished", {"completed": 1}, "completed"),
        ("region_finished", {"completed": 0}, "failed"),
        ("job_cancelled", {}, "cancelled"),
    ],
)
def test_which_sign_an_event_has(kind: str, detail: dict[str, Any], state: str) -> None:
    assert moment(kind, detail=detail).state == state


def test_the_last_end_of_a_region_shows_its_present_outcome() -> None:
    events = [
        event("region_finished", 1, region="US", detail={"completed": 0, "units": 1}),
        event("region_finished", 2, region="US", detail={"completed": 0, "units": 1}),
    ]
    newest, earlier = moments(events, BEGAN, {"US": "cancelled"})
    assert (newest.title, newest.state) == ("Region cancelled", "cancelled")
    assert (earlier.title, earlier.state) == ("Region finished", "failed")


def test_where_it_happened() -> None:
    assert moment("execution_recorded", region="US", model_id="m1").where == "US · m1"
    assert moment("submitted").where == ""


def test_an_event_of_a_later_release_is_shown_by_its_name() -> None:
    found = moment("region_moved")
    assert (found.title, found.text, found.state) == ("region moved", "", "pending")


def test_every_title_and_reason_reads_as_words() -> None:
    assert all("_" not in text for text in [*TITLES.values(), *REASONS.values()])
