"""Leases that ran out: taken back, their regions staged again or ended."""

from pathlib import Path
from typing import Any

import psycopg
from prometheus_client import REGISTRY

from outbox_publisher.sweep import take_back
from runner_api.verbs.actor import Actor
from runner_core.db import Database
from runner_worker.engine.leases import claim
from tests.engine import running
from tests.jobs import catalogue, one, query, submission, submit, until
from tests.sweeping import events, expire, waiting

Conn = psycopg.Connection[Any]
ADMIN = Actor("admin")


def test_a_lease_that_ran_out_is_taken_back_and_its_region_staged_once(db: Database, conn: Conn) -> None:
    job_id = submit(db, submission(regions=("US", "EU"))).job_id
    claim(db, [(job_id, "US"), (job_id, "EU")], "dead")
    conn.execute(
        b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 second' WHERE region = 'US'"
    )
    expired = REGISTRY.get_sample_value("leases_expired_total") or 0
    assert [take_back(db), take_back(db)] == [1, 0]
    assert REGISTRY.get_sample_value("leases_expired_total") == expired + 1
    assert query(conn, "SELECT region, lease_token IS NULL AS free, attempt FROM region_runs ORDER BY region") == [
        {"region": "EU", "free": False, "attempt": 1},
        {"region": "US", "free": True, "attempt": 1},
    ]
    staged = query(conn, "SELECT topic, payload FROM outbox ORDER BY id OFFSET 2")
    assert [(row["topic"], row["payload"]["attempt"]) for row in staged] == [("beacon-us", 1)]
    assert events(conn, job_id)[-2:] == ["lease_expired", "region_staged"]


def test_a_lease_that_was_extended_meanwhile_is_left_alone(db: Database, conn: Conn) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    claim(db, [(job_id, "US")], "alive")
    assert take_back(db) == 0
    assert waiting(conn) == 1


def test_a_region_that_loses_its_worker_each_time_ends_with_a_row_for_every_unit(db: Database, conn: Conn) -> None:
    job_id = submit(db, submission(regions=("US",), models=("m1", "m2"), questions=("q1", "q2"))).job_id
    for attempt in (1, 2, 3):
        assert len(claim(db, [(job_id, "US")], f"dead {attempt}")[0]) == 1
        expire(conn)
        assert take_back(db) == 1
    assert query(conn, "SELECT model_id, status, error ->> 'code' AS code, attempt, retry_count FROM executions") == [
        {"model_id": model, "status": "failed", "code": "worker_crashed", "attempt": 3, "retry_count": 2}
        for model in ("m1", "m2")
    ]
    assert one(conn, "SELECT status FROM jobs") == "failed"
    assert one(conn, "SELECT status FROM region_results") == "failed"
    assert claim(db, [(job_id, "US")], "late")[0] == []
    assert events(conn, job_id)[-4:] == ["execution_recorded", "execution_recorded", "region_finished", "job_failed"]


def test_what_a_crashed_region_has_brought_home_counts(db: Database, conn: Conn, tmp_path: Path) -> None:
    """One model recorded, one with one of two answers, one with none: two have completed, one has failed."""
    hanging = catalogue(tmp_path, {"US": {"options": {"hang": True}}}, "m1 m2 m3")
    models = ("m1", "m2", "m3")
    job_id = submit(db, submission(regions=("US",), models=models, questions=("q1", "q2"))).job_id
    with running(db, hanging) as engine:
        engine.take((job_id, "US"))
        until(lambda: one(conn, "SELECT count(*) FROM answers") == 6)
    conn.execute(
        b"INSERT INTO executions (job_id, region, model_id, status, completed_at) "
        b"VALUES (%s, 'US', 'm1', 'completed', clock_timestamp())",
        [job_id],
    )
    conn.execute(
        b"UPDATE answers SET status = 'ok', output = '{}', completed_at = clock_timestamp() "
        b"WHERE model_id = 'm2' AND question_id = 'q1'"
    )
    conn.execute(b"UPDATE region_runs SET attempt = max_attempts")
    expire(conn)
    take_back(db)
    results = query(
        conn, "SELECT model_id, status, failed_answers, error ->> 'code' AS code FROM executions ORDER BY 1"
    )
    assert results == [
        {"model_id": "m1", "status": "completed", "failed_answers": 0, "code": None},
        {"model_id": "m2", "status": "completed", "failed_answers": 1, "code": "worker_crashed"},
        {"model_id": "m3", "status": "failed", "failed_answers": 2, "code": "worker_crashed"},
    ]
    assert one(conn, "SELECT status FROM jobs") == "completed"
