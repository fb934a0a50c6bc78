"""Stuck jobs: their reasons, and whether sending their regions again can help."""

from datetime import UTC, datetime, timedelta
from typing import Any

from runner_api.views.stuck import explained, listed

NOW = datetime.now(UTC)
LATE = {"id": "j", "reason": "queued", "created_at": NOW - timedelta(hours=1)}
JOB = {"status": "queued", "created_at": LATE["created_at"], "min_regions_required": 1, "provider_timeout_seconds": 60}


def region(**values: Any) -> dict[str, Any]:
    usual = {
        "region": "US",
        "status": "pending",
        "attempt": 0,
        "max_attempts": 3,
        "finished_at": None,
        "dead_at": None,
        "staged_at": LATE["created_at"],
        "published_at": LATE["created_at"],
        "publish_attempts": 0,
        "publish_error": None,
        "last_error": None,
    }
    return usual | values


def worker(seconds_since: float, name: str = "US") -> dict[str, Any]:
    return {"kind": "worker", "region": name, "host": "h", "pid": 7, "seconds_since": seconds_since, "providers": None}


def test_without_a_worker_the_remedy_is_a_worker() -> None:
    found = explained(LATE, JOB, [region()], [], [worker(5, "EU")])
    assert not found.send_again
    assert found.sentences is not None
    assert found.sentences[0].remedy == "python -m runner_worker --region US"


def test_a_message_that_may_be_lost_can_be_sent_again() -> None:
    assert explained(LATE, JOB, [region()], [], [worker(5)]).send_again
    assert not explained(LATE, JOB, [region()], [], [worker(3600)]).send_again


def test_a_message_that_was_given_up_can_be_sent_again_and_one_that_was_not_sent_can_not() -> None:
    assert explained(LATE, JOB, [region(published_at=None, dead_at=NOW)], [], []).send_again
    assert not explained(LATE, JOB, [region(published_at=None)], [], [worker(5)]).send_again


def test_a_job_that_was_only_counted_has_no_reason_and_nothing_to_click() -> None:
    found = listed(LATE)
    assert (found.id, found.sentences, found.send_again) == ("j", None, False)
