"""What a test does by hand with regions that workers hold: it lets leases run out, and builds what a unit ended as."""

import json
from typing import Any

import psycopg

from runner_core.store.executions import Ended

Conn = psycopg.Connection[Any]


def expire(conn: Conn) -> None:
    """What a worker leaves that has been silent for longer than its lease."""
    past = b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s' WHERE lease_token IS NOT NULL"
    conn.execute(past)


def ended(held: dict[str, Any], text: str, model_id: str = "m1") -> Ended:
    """A completed unit of a claimed region."""
    at = held["started_at"]
    rest = {"provider_id": "p", "started_at": at, "completed_at": at, "duration_ms": 1, "failed_answers": 0}
    output = json.dumps({"response": text})
    return Ended(
        *(held["job_id"], held["region"], model_id, held["token"], "completed"),
        *rest.values(),
        *(0, None, output, None, None),
    )
