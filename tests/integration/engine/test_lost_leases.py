"""A worker that has lost its lease finds out, changes nothing of another's, and loses no answer that was paid for."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from prometheus_client import REGISTRY

from outbox_publisher.sweep import take_back
from runner_core.db import Database
from runner_core.regions import Catalogue
from tests.engine import Start
from tests.held_regions import expire
from tests.jobs import catalogue, one, query, submission, submit, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_zombie_changes_nothing_and_is_counted(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start, tmp_path: Path
) -> None:
    """A worker that was paused past its lease wakes up when another has taken over and has not answered yet."""
    server.add_rule(fault="status", status=403, delay=3600.0)
    job_id = submit(db, submission(regions=("US",), questions=("q1",))).job_id
    # No heartbeat comes to tell it: it finds out when it writes.
    zombie = start(loopback, "zombie", lease_seconds=600, heartbeat_seconds=300)
    zombie.take((job_id, "US"))
    server.wait_for_calls(1)
    expire(conn)
    with ProviderServer() as other:
        other.add_rule(fault="none", delay=3600.0)
        (tmp_path / "heir").mkdir()
        heir = start(catalogue(tmp_path / "heir", {"US": {"kind": "openai", "base_url": f"{other.url}/US/v1"}}), "heir")
        heir.take((job_id, "US"))
        other.wait_for_calls(1)
        token = one(conn, "SELECT lease_token FROM region_runs")
        fenced = metric("runner_fenced_total")
        server.release()
        assert zombie.wait(1) == [(job_id, "US", "fenced")]
        assert metric("runner_fenced_total") == fenced + 1
        assert one(conn, "SELECT count(*) FROM executions") == 0
        assert one(conn, "SELECT lease_token FROM region_runs") == token
        assert query(conn, "SELECT status FROM answers") == [{"status": "started"}]
        other.release()
        assert heir.wait(1) == [(job_id, "US", "finished")]
    assert query(conn, "SELECT attempt, status FROM executions") == [{"attempt": 2, "status": "completed"}]


def test_a_zombies_answer_that_was_paid_for_is_kept_while_its_region_is_open(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="none", delay=3600.0, match={"prompt": "What"}, times=1)
    server.add_rule(fault="hang", match={"prompt": "Why"})
    job_id = submit(db, submission(regions=("US",), questions=("q1", "q2"))).job_id
    zombie = start(loopback, "zombie", lease_seconds=600, heartbeat_seconds=300)
    zombie.take((job_id, "US"))
    server.wait_for_calls(2)
    expire(conn)
    take_back(db)
    server.release()
    until(lambda: one(conn, "SELECT status FROM answers WHERE question_id = 'q1'") == "ok")
    assert one(conn, "SELECT count(*) FROM executions") == 0
    assert one(conn, "SELECT lease_token FROM region_runs") is None


def test_of_two_different_answers_to_one_question_the_heirs_counts_alone(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start, tmp_path: Path
) -> None:
    """The zombie's comes first, when the heir has already asked: stored, it would contradict the heir's receipt."""
    server.add_rule(fault="none", delay=3600.0, text="the zombie's")
    job_id = submit(db, submission(regions=("US",), questions=("q1",))).job_id
    zombie = start(loopback, "zombie", lease_seconds=600, heartbeat_seconds=300)
    zombie.take((job_id, "US"))
    server.wait_for_calls(1)
    expire(conn)
    with ProviderServer() as other:
        other.add_rule(fault="none", delay=3600.0, text="the heir's")
        (tmp_path / "heir").mkdir()
        heir = start(catalogue(tmp_path / "heir", {"US": {"kind": "openai", "base_url": f"{other.url}/US/v1"}}), "heir")
        heir.take((job_id, "US"))
        other.wait_for_calls(1)
        server.release()
        assert zombie.wait(1) == [(job_id, "US", "fenced")]
        other.release()
        assert heir.wait(1) == [(job_id, "US", "finished")]
    assert query(conn, "SELECT output ->> 'response' AS text FROM answers") == [{"text": "the heir's"}]
    assert one(conn, "SELECT count(*) FROM tries") == 2
    assert query(conn, "SELECT attempt, status FROM executions") == [{"attempt": 2, "status": "completed"}]


def test_a_heartbeat_keeps_the_lease_and_tells_of_its_loss(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="hang")
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(loopback, lease_seconds=60, heartbeat_seconds=0.05)
    engine.take((job_id, "US"))
    server.wait_for_calls(1)
    first = one(conn, "SELECT lease_expires_at FROM region_runs")
    until(lambda: one(conn, "SELECT lease_expires_at FROM region_runs") > first)
    version = one(conn, "SELECT version FROM jobs")
    until(lambda: one(conn, "SELECT lease_expires_at FROM region_runs") > first + timedelta(milliseconds=100))
    assert one(conn, "SELECT version FROM jobs") == version, "a heartbeat does not touch the job"
    conn.execute(b"UPDATE region_runs SET lease_token = gen_random_uuid()")
    assert engine.wait(1) == [(job_id, "US", "fenced")]
    assert engine.runner.busy() == 0
    assert engine.runner.free() == engine.settings.worker.concurrency
