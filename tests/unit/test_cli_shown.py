"""What the `beacon` command shows of a job: answers side by side, and why the job is not done."""

import argparse
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest

from runner_cli.comparison import side_by_side
from runner_cli.grid import badges
from runner_cli.snapshot import Snapshot
from runner_cli.story import Story
from runner_cli.terminal import clean
from runner_cli.watch import duration, line

pytestmark = pytest.mark.usefixtures("alone")


def row(region: str, model: str, question: str | None, status: str = "completed", **more: Any) -> dict[str, Any]:
    made = {"region": region, "model_id": model, "question_id": question, "status": status, "duration_ms": 1500}
    return made | {"id": 1, "error": None, "output": {"response": f"from {region}"}, "retry_count": 0} | more


def snapshot(rows: list[dict[str, Any]], status: str = "completed", **job: Any) -> Snapshot:
    document = {"id": "job-1", "status": status, "job": {"questions": ["b", "a"], "models": [{"id": "z"}, "m"]}}
    return Snapshot(document | {"created_at": "2026-01-01T00:00:00Z", "completed_at": None, "waiting": []} | job, rows)


def test_a_model_can_not_steer_the_terminal() -> None:
    assert clean("a\x1b[31mred\x07\x9b0m\u202egnp.exe\n\tb") == "a\ufffd[31mred\ufffd\ufffd0m\ufffdgnp.exe\n\tb"


def test_durations() -> None:
    assert [duration(text) for text in ("90", "1.5s", "15m", "2h")] == [90, 1.5, 900, 7200]
    with pytest.raises(argparse.ArgumentTypeError):
        duration("-5s")


def test_the_order_of_regions_models_and_questions() -> None:
    found = snapshot([row(r, m, q) for r in ("EU", "BR", "US") for m in ("m", "z", "y") for q in ("a", "b", "c")])
    assert found.regions == ["US", "EU", "BR"]
    assert found.models == ["z", "m", "y"]
    assert found.questions == ["b", "a", "c"]


def test_a_question_is_shown_as_it_was_asked() -> None:
    """Answers to a free text carry an id made from it; nobody remembers that one, and its order says nothing."""
    texts = ["Why?", "a", "How?"]
    ids = [t if t == "a" else f"text-{hashlib.sha256(t.encode()).hexdigest()[:16]}" for t in texts]
    found = snapshot([row("US", "m", name) for name in sorted(ids)], job={"questions": texts})
    assert found.questions == ids
    assert [found.title(name) for name in found.questions] == texts
    heads = [text for text in side_by_side(found, 80) if text in {*texts, *ids}]
    assert heads == texts
    assert line(found.rows[-1], found.title(found.rows[-1]["question_id"])).split("  ")[2] in texts


def test_a_partial_job_says_so() -> None:
    assert snapshot([], cross_region={"status": "partial"}).verdict == "partial"
    assert snapshot([], "running", cross_region={"status": "running"}).verdict == "running"


def test_badges_beside_an_answer() -> None:
    shown = badges(row("US", "m", None, output={"refused": True, "simulated": True}, retry_count=2))
    assert shown == ["simulated", "refused", "3 tries"]
    assert badges(row("US", "m", None, "failed", output=None, error_detail={"code": "timeout"})) == ["timeout"]


def test_answers_side_by_side() -> None:
    rows = [
        row("US", "m", "a", output={"response": "A long answer that needs more than one line of its column.\x1b[2J"}),
        row("EU", "m", "a", output={"response": "No.", "refused": True}),
        row("ASIA", "m", "a", "failed", output=None, error="It took too long.", error_detail={"code": "timeout"}),
    ]
    lines = side_by_side(snapshot(rows), 90)
    assert max(map(len, lines)) <= 90
    assert lines[0] == "a"
    heads = lines[3].split("|")
    assert [head.strip() for head in heads] == ["US", "EU  [refused]", "ASIA  [timeout]"]
    assert any("No." in line for line in lines)
    assert any("It took too long." in line for line in lines)
    assert "\x1b" not in "".join(lines)


# Why a job is not done.

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)


def event(kind: str, region: str | None = None, at: str = "2026-01-01T00:05:00+00:00", **detail: Any) -> dict[str, Any]:
    return {"type": kind, "region": region, "at": at, "detail": detail, "actor": "ops"}


def reason(subject: str, text: str, remedy: str = "") -> dict[str, Any]:
    return {"subject": subject, "text": text, "remedy": remedy, "serious": bool(remedy)}


def tell(found: Snapshot, *events: dict[str, Any]) -> str:
    return " ".join(Story(found, [event("submitted"), *events], NOW).lines())


def test_what_an_open_job_waits_for() -> None:
    rows = [row(region, "m", "a", "pending") for region in ("US", "EU", "ASIA")]
    told = tell(
        snapshot(
            rows,
            "running",
            waiting=[
                reason("US", "It waits.", "python -m runner_worker --region US"),
                reason("ASIA", "It runs."),
            ],
        )
    )
    assert told == (
        "Job job-1 is running; it was submitted 10 min ago. EU has finished. "
        "US: It waits. -> python -m runner_worker --region US. ASIA: It runs."
    )


def test_a_job_that_failed() -> None:
    failed = {"error": "The provider said 401.", "error_detail": {"code": "http_401"}, "output": None}
    across = {
        "status": "failed",
        "success_count": 0,
        "total_regions": 1,
        "min_regions_required": 1,
        "min_success_rate": 0.67,
    }
    told = tell(
        snapshot(
            [row("US", "m", "a", "failed", **failed), row("US", "m", "b", "failed", **failed)],
            "failed",
            completed_at="2026-01-01T00:08:00Z",
            cross_region=across,
            waiting=[reason("http_401", "m in US: The provider said 401.")],
        )
    )
    assert told.startswith("Job job-1 is done: it ended 2 min ago as failed. 0 of 1 regions succeeded;")
    assert told.count("http_401: m in US: The provider said 401.") == 1
    assert told.endswith("`beacon retry job-1` runs the failed units once more.")


def test_who_cancelled() -> None:
    told = tell(
        snapshot([row("US", "m", "a", "cancelled")], "cancelled", completed_at="2026-01-01T00:08:00Z"),
        event("cancel_requested"),
    )
    assert told == "Job job-1 is done: it ended 2 min ago as cancelled. ops cancelled it."
