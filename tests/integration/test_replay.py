"""Traces of jobs are replayed against the checked model: what no run of it does is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.model.replay import main, replay

pytestmark = [pytest.mark.needs("spin", "gcc"), pytest.mark.timeout(240)]
SUBMITTED: dict[str, Any] = {"type": "submitted", "region": None, "model": None, "detail": {}}


def event(kind: str, region: str | None = None, model: str | None = None, **detail: Any) -> dict[str, Any]:
    """An event as a trace has it."""
    return {"type": kind, "region": region, "model": model, "detail": detail}


CLAIM = [event("region_claimed", "EU", attempt=1)]
RECORD = [event("execution_recorded", "EU", "m1", status="completed"), event("region_finished", "EU")]
END = [event("job_completed")]
EXPIRY = [event("lease_expired", "EU", attempt=1), event("region_staged", "EU", reason="lease_expired")]
CANCEL = [
    event("cancel_requested"),
    event("execution_recorded", "EU", "m1", status="cancelled"),
    event("region_finished", "EU"),
    event("job_cancelled"),
]


def job(name: str, *transactions: list[dict[str, Any]]) -> dict[str, Any]:
    """A job of one region and one model with these transactions."""
    return {"job_id": name, "plan": {"EU": ["m1"]}, "min_regions": 1, "transactions": [[SUBMITTED], *transactions]}


ALLOWED = [
    job("straight", CLAIM, [*RECORD, *END]),
    job("crash", CLAIM, EXPIRY, [event("region_claimed", "EU", attempt=2)], [*RECORD, *END]),
    job("lost", [event("region_staged", "EU", reason="message_lost")], CLAIM, [*RECORD, *END]),
    job("cancelled", CLAIM, CANCEL),
    job("overtaken", CLAIM, [event("region_claimed", "EU", attempt=2)], [*RECORD, *END]),  # before the sweeper saw it
    job(
        "stopped",
        CLAIM,
        [event("region_released", "EU", attempt=0, call_begun=False), event("region_staged", "EU", reason="released")],
        CLAIM,
        [*RECORD, *END],
    ),
    job(
        "retried",
        CLAIM,
        [event("execution_recorded", "EU", "m1", status="failed"), event("region_finished", "EU"), event("job_failed")],
        [event("retry_requested"), event("region_staged", "EU", reason="retry")],
        [event("region_claimed", "EU", attempt=2)],
        [*RECORD, *END],
    ),
]
AGAIN = [event("region_claimed", "EU", attempt=2)]
# Each with the last event of its shortest beginning that the model refuses.
REFUSED = [
    (job("recorded after the end", CLAIM, [*RECORD, *END], [RECORD[0]]), "execution_recorded EU m1"),
    (job("claimed after a cancel", CANCEL, CLAIM), "region_claimed EU {'attempt': 1}"),
    (job("attempt left out", CLAIM, EXPIRY, [event("region_claimed", "EU", attempt=3)]), "region_claimed EU"),
    (job("attempt not counted", CLAIM, CLAIM), "region_claimed EU {'attempt': 1}"),
    (job("too many attempts", CLAIM, AGAIN, [event("region_claimed", "EU", attempt=4)]), "region_claimed EU"),
    (job("finished without a row", CLAIM, [RECORD[1]]), "region_finished EU"),
    (job("another verdict", CLAIM, [*RECORD, event("job_failed")]), "job_failed"),
    (job("closed in another transaction", CLAIM, RECORD, END), "job_completed"),
]


def test_only_what_the_model_does_is_allowed() -> None:
    distinct, refused = replay([*ALLOWED, *ALLOWED, *(job for job, _ in REFUSED)], attempts=3)
    assert distinct == len(ALLOWED) + len(REFUSED)
    assert [one.job_id for one in refused] == [job["job_id"] for job, _ in REFUSED]
    for one, (_, last) in zip(refused, REFUSED, strict=True):
        assert one.prefix[-1].startswith(last)


def test_a_refused_trace_is_told_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces = tmp_path / "traces"
    traces.write_text(json.dumps(REFUSED[1][0]) + "\n")
    assert main([str(traces)]) == 1
    told = capsys.readouterr().out
    assert "REFUSED claimed after a cancel" in told
    assert "1 jobs, 1 different traces, 1 of them refused" in told
