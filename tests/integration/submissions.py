"""Submissions over HTTP: where they go, what a refusal looks like."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from werkzeug.test import TestResponse

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "signature_vectors.json").read_text())
CROSS = "/api/v1/jobs/cross-region"
NOTHING = dict.fromkeys(
    ("jobs", "idempotency_keys", "nonces", "outbox", "job_events", "region_runs", "executions", "answers"), 0
)


def refused(answer: TestResponse, status: int, code: str) -> str:
    """Check a problem; returns its detail."""
    body = answer.get_json()
    assert (answer.status_code, body["error_code"]) == (status, code), body
    assert answer.content_type == "application/problem+json"
    assert body["status"] == status
    assert body["error"] == body["detail"]
    assert {"type", "title", "instance"} <= set(body)
    assert answer.headers["X-Request-ID"]
    detail: str = body["detail"]
    return detail


def stamp_in(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
