"""What has served its time is removed."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbox_publisher import retention
from outbox_publisher.retention import NONCE_DAYS, remove_old
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_core.db import Database
from runner_core.store.jobs import KEY_DAYS
from runner_queue.broker import Broker
from tests.engine import running
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, submit_many
from tests.sweeping import age, drain

Conn = psycopg.Connection[Any]
ADMIN = Actor("admin")


def test_what_has_served_its_time_is_removed_in_batches(
    db: Database, broker: Broker, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    ids = submit_many(db, 25, regions=("US", "EU"))
    drain(db, broker)
    for job_id in ids[:20]:
        cancel_job(db, job_id, ADMIN, "a")
    age(conn)
    assert remove_old(db) == 0, "nothing is old enough"
    conn.execute(b"UPDATE outbox SET processed_at = processed_at - interval '8 days'")
    assert remove_old(db) == 40
    kept = query(conn, "SELECT DISTINCT job_id FROM outbox ORDER BY 1")
    assert [row["job_id"] for row in kept] == sorted(ids[20:]), "messages of open jobs stay"
    assert one(conn, "SELECT count(*) FROM jobs") == 25, "jobs stay unless JOB_RETENTION_DAYS says so"


def test_ended_jobs_go_with_everything_that_is_theirs_and_only_when_told(
    database_url: str, db: Database, conn: Conn, tmp_path: Path
) -> None:
    old, young, open_job = submit_many(db, 3, regions=("US",))
    with running(db, catalogue(tmp_path)) as engine:
        engine.run((old, "US"), (young, "US"))
    conn.execute(b"UPDATE jobs SET completed_at = completed_at - interval '31 days' WHERE id = %s", [old])
    with opened(settings_for(database_url, job_retention_days=30)) as keeper:
        assert remove_old(keeper) == 1
    for table, column in (("jobs", "id"), ("executions", "job_id"), ("answers", "job_id"), ("job_events", "job_id")):
        left = {row["id"] for row in query(conn, f"SELECT {column} AS id FROM {table}")}  # noqa: S608
        assert old not in left
        assert young in left
    assert one(conn, "SELECT count(*) FROM jobs WHERE id = %s", open_job) == 1


def test_a_nonce_is_kept_as_long_as_a_key_however_short_messages_are_kept(database_url: str, conn: Conn) -> None:
    assert NONCE_DAYS == KEY_DAYS
    with opened(settings_for(database_url, outbox_retention_days=1)) as db:
        submit(db, submission(public_key="k", nonce="n"))
        conn.execute(b"UPDATE nonces SET created_at = created_at - interval '6 days'")
        assert remove_old(db) == 0
        conn.execute(b"UPDATE nonces SET created_at = created_at - interval '2 days'")
        assert remove_old(db) == 1


def test_processes_that_were_not_seen_for_an_hour_are_forgotten(db: Database, conn: Conn) -> None:
    conn.execute(
        b"INSERT INTO processes (id, kind, host, pid, version, seen_at) VALUES "
        b"('old', 'worker', 'h', 1, '1', clock_timestamp() - interval '2 hours'), ('new', 'worker', 'h', 2, '1', now())"
    )
    assert remove_old(db) == 1
    assert query(conn, "SELECT id FROM processes") == [{"id": "new"}]
