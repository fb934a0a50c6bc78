"""Each process under its own login: the whole path works, and what is not its business is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from outbox_publisher import gauges
from outbox_publisher.relay import publish_batch
from outbox_publisher.retention import remove_old
from outbox_publisher.sweeper import Sweeper
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.republish import republish_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_cli.local import login_urls, set_passwords
from runner_core.db import Database
from runner_core.errors import Rejected
from runner_core.heartbeat import Heartbeat
from runner_core.readiness import probe
from runner_queue.broker import Broker
from tests.cells import CELL
from tests.engine import Engine, running
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, until

Conn = psycopg.Connection[Any]
ADMIN = Actor("admin")


@pytest.fixture
def urls(home: Path, database_url: str) -> dict[str, str]:
    set_passwords(home, database_url)
    return {name.removeprefix("DATABASE_URL_").lower(): url for name, url in login_urls(home, database_url).items()}


@pytest.fixture
def api(urls: dict[str, str]) -> Iterator[Database]:
    with opened(settings_for(urls["api"]), "api") as db:
        yield db


@pytest.fixture
def publisher(urls: dict[str, str], redis_url: str) -> Iterator[Database]:
    with opened(settings_for(urls["publisher"], redis_url, job_retention_days=1), "publisher") as db:
        yield db


@pytest.fixture
def worker(urls: dict[str, str], tmp_path: Path) -> Iterator[Engine]:
    settings = settings_for(urls["worker"], heartbeat_seconds=0.05)
    with opened(settings, "worker") as db, running(db, catalogue(tmp_path, BROKEN)) as engine:
        yield engine


BROKEN: dict[str, dict[str, Any]] = {
    "EU": {"options": {"fail": "http_403"}},
    "ASIA": {"options": {"hang": True}},
}


def test_the_whole_path_works_with_each_process_under_its_own_login(
    api: Database, publisher: Database, worker: Engine, conn: Conn
) -> None:
    broker = Broker(publisher.settings)
    for db in (api, publisher, worker.db):
        probe(db)
    job_id = submit(api, submission(regions=("US", "EU"), questions=("q1", "q2"))).job_id
    assert publish_batch(publisher, broker) == 2
    assert worker.run((job_id, "US"), (job_id, "EU")) == ["finished", "finished"]
    assert one(conn, "SELECT status FROM jobs") == "completed"
    assert query(conn, "SELECT region, status FROM executions ORDER BY region") == [
        {"region": "EU", "status": "failed"},
        {"region": "US", "status": "completed"},
    ]
    assert retry_job(api, job_id, Wanted("EU"), ADMIN, "again").units == [("EU", "m1")]
    assert publish_batch(publisher, broker) == 1
    assert republish_job(api, job_id, ADMIN, "once more") == ["EU"]
    assert worker.run((job_id, "EU")) == ["finished"]
    assert one(conn, "SELECT status FROM jobs") == "completed"


def test_a_cancellation_ends_the_job_and_the_worker_learns_of_it(api: Database, worker: Engine, conn: Conn) -> None:
    job_id = submit(api, submission(regions=("US", "ASIA"))).job_id
    worker.take((job_id, "ASIA"))
    until(lambda: one(conn, "SELECT count(*) FROM answers WHERE status = 'started'") == 1)
    done = cancel_job(api, job_id, ADMIN, "stop")
    assert (done.previous_status, done.executions) == ("running", 2)
    assert worker.wait(1) == [(job_id, "ASIA", "fenced")]
    assert query(conn, "SELECT DISTINCT status FROM executions") == [{"status": "cancelled"}]
    with pytest.raises(Rejected):
        cancel_job(api, job_id, ADMIN, "stop again")


def test_a_worker_that_stops_hands_its_region_back(api: Database, worker: Engine, conn: Conn) -> None:
    job_id = submit(api, submission(regions=("ASIA",))).job_id
    worker.take((job_id, "ASIA"))
    until(lambda: one(conn, "SELECT count(*) FROM answers WHERE status = 'started'") == 1)
    worker.runner.drain(0)
    assert worker.wait(1) == [(job_id, "ASIA", "released")]
    assert one(conn, "SELECT lease_token FROM region_runs") is None
    assert one(conn, "SELECT count(*) FROM outbox WHERE topic = 'beacon-asia'") == 2


def test_the_sweeper_works_under_the_publishers_login(
    api: Database, publisher: Database, worker: Engine, conn: Conn
) -> None:
    lost = submit(api, submission(regions=("US", "EU", "ASIA"))).job_id
    with_crash = submit(api, submission(regions=("ASIA",))).job_id
    worker.take((with_crash, "ASIA"))
    worker.runner.close()
    conn.execute(b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 hour'")
    broker = Broker(publisher.settings)
    publish_batch(publisher, broker)
    broker.redis.flushdb()
    assert Sweeper(publisher, broker).run_once() == 4
    assert one(conn, "SELECT count(*) FROM outbox WHERE processed_at IS NULL AND job_id = %s", lost) == 3
    conn.execute(b"UPDATE jobs SET queued_until = clock_timestamp() - interval '1 hour' WHERE id = %s", [lost])
    Sweeper(publisher, broker).run_once()
    assert one(conn, "SELECT status FROM jobs WHERE id = %s", lost) == "failed"
    gauges.refresh(publisher)


def test_old_rows_are_removed_under_the_publishers_login(api: Database, publisher: Database, conn: Conn) -> None:
    job = submission(public_key="key", nonce="n1")
    submit(api, job)
    kept = submit(api, submission(public_key="key", nonce="n2")).job_id
    cancel_job(api, job.job_id, ADMIN, "stop")
    conn.execute(b"UPDATE jobs SET completed_at = completed_at - interval '30 days' WHERE status = 'cancelled'")
    conn.execute(b"UPDATE outbox SET processed_at = clock_timestamp() - interval '30 days'")
    conn.execute(b"UPDATE nonces SET created_at = created_at - interval '30 days'")
    conn.execute(b"UPDATE idempotency_keys SET expires_at = expires_at - interval '30 days'")
    # Two messages, two keys, two nonces, one job; those of the open job stay.
    assert remove_old(publisher) == 7
    assert query(conn, "SELECT id FROM jobs") == [{"id": kept}]
    assert one(conn, "SELECT count(*) FROM outbox") == 2


def test_every_process_signs_on_and_off(api: Database, publisher: Database, worker: Engine, conn: Conn) -> None:
    for kind, db in (("api", api), ("publisher", publisher), ("worker", worker.db)):
        heartbeat = Heartbeat(db, kind)
        heartbeat.start()
        until(lambda kind=kind: one(conn, "SELECT count(*) FROM processes WHERE kind = %s", kind))  # type: ignore[misc]
        heartbeat.stop()
    assert one(conn, "SELECT count(*) FROM processes") == 0


INSERT_EXECUTION = (
    "INSERT INTO executions (job_id, region, model_id, status, completed_at) "
    "VALUES ('j', 'US', 'm', 'completed', now())"
)
FORBIDDEN = {
    "api": [
        INSERT_EXECUTION,
        "UPDATE executions SET status = 'completed'",
        "DELETE FROM executions",
        "INSERT INTO answers (job_id, region, model_id, question_id, run_no, status, attempt, started_at) "
        "VALUES ('j', 'US', 'm', 'q', 1, 'started', 1, now())",
        "UPDATE answers SET output = '{}'",
        "DELETE FROM answers",
        "INSERT INTO region_runs (job_id, region, attempt, max_attempts) VALUES ('j', 'US', 0, 1)",
        "UPDATE region_runs SET lease_token = gen_random_uuid()",
        "UPDATE jobs SET plan = '{}'",
        "UPDATE jobs SET spec_raw = ''",
        "DELETE FROM jobs",
        "DELETE FROM outbox",
        "UPDATE outbox SET payload = '{}'",
        "UPDATE job_events SET actor = 'nobody'",
        "DELETE FROM job_events",
        "DELETE FROM nonces",
    ],
    "publisher": [
        "SELECT output FROM answers",
        "SELECT count(*) FROM answers",
        "SELECT output FROM executions",
        "SELECT error FROM executions",
        "SELECT spec FROM jobs",
        "SELECT spec_raw FROM jobs",
        "SELECT questions FROM jobs",
        "SELECT public_key FROM jobs",
        "UPDATE jobs SET status = 'completed'",
        "INSERT INTO jobs (id) VALUES ('x')",
        INSERT_EXECUTION,
        "UPDATE executions SET status = 'completed'",
        "UPDATE region_runs SET finished_at = now()",
        "UPDATE region_runs SET attempt = 0",
        "DELETE FROM job_events",
        "INSERT INTO idempotency_keys (key) VALUES ('x')",
        "SELECT * FROM cross_region_executions",
        "SELECT reopen_units('j', NULL, NULL, NULL, 1)",
        "SELECT cancel_units('j', '{}')",
    ],
    "worker": [
        "INSERT INTO jobs (id) VALUES ('x')",
        "UPDATE jobs SET plan = '{}'",
        "UPDATE jobs SET cancelled_at = now()",
        "DELETE FROM jobs",
        "INSERT INTO idempotency_keys (key) VALUES ('x')",
        "SELECT * FROM idempotency_keys",
        "INSERT INTO nonces (public_key, nonce, job_id) VALUES ('k', 'n', 'j')",
        "UPDATE executions SET status = 'completed'",
        "DELETE FROM executions",
        "DELETE FROM answers",
        "DELETE FROM region_runs",
        "SELECT payload FROM outbox",
        "UPDATE outbox SET processed_at = now()",
        "DELETE FROM outbox",
        "DELETE FROM job_events",
        "SELECT reopen_units('j', NULL, NULL, NULL, 1)",
        "SELECT cancel_units('j', '{}')",
        "SELECT end_units(ARRAY['j'], ARRAY['US'], 'failed', ARRAY['{}'::jsonb])",
    ],
}
EVERYONE = [
    f"CREATE TABLE {CELL.schema}.mine (a integer)",
    "DROP TABLE jobs",
    "TRUNCATE jobs CASCADE",
    "ALTER TABLE jobs DISABLE TRIGGER ALL",
    "INSERT INTO schema_migrations (version, name, checksum) VALUES (99, 'x', 'x')",
    "SET ROLE beacon",
    "SET SESSION AUTHORIZATION beacon",
]


@pytest.mark.parametrize("role", FORBIDDEN)
def test_what_is_not_a_processs_business_is_refused(role: str, urls: dict[str, str]) -> None:
    """Refused by right, before any row is looked at."""
    with psycopg.connect(urls[role], autocommit=True) as conn:
        allowed = [statement for statement in FORBIDDEN[role] + EVERYONE if _may(conn, statement)]
    assert allowed == []


def _may(conn: Conn, statement: str) -> bool:
    try:
        conn.execute(statement.encode())
    except InsufficientPrivilege:
        return False
    return True


@pytest.mark.parametrize("role", FORBIDDEN)
def test_a_function_with_its_owners_rights_looks_at_no_table_of_a_callers(role: str, urls: dict[str, str]) -> None:
    """pg_temp comes last in the functions' search path: a temporary `jobs` of the caller's is not seen."""
    with psycopg.connect(urls[role], autocommit=True) as conn:
        conn.execute(b"CREATE TEMPORARY TABLE jobs (id text, status text, version integer, updated_at timestamptz)")
        conn.execute(b"INSERT INTO jobs VALUES ('trap', 'running', 1, now())")
        assert conn.execute(b"SELECT * FROM close_jobs(ARRAY['trap'])").fetchall() == []
        assert conn.execute(b"SELECT version FROM pg_temp.jobs").fetchone() == (1,)


def test_the_functions_that_write_results_belong_to_no_login_and_have_a_fixed_path(conn: Conn) -> None:
    found = query(
        conn,
        "SELECT proname, proconfig, pg_get_userbyid(proowner) AS owner, proacl::text AS acl FROM pg_proc "
        "WHERE prosecdef AND pronamespace = current_schema()::regnamespace",
    )
    verbs = {"end_units", "close_regions", "close_jobs", "cancel_units", "reopen_units", "label_judged", "fill_jobs"}
    assert {f["proname"] for f in found} == verbs | {"forget_events"}
    for function in found:
        assert function["proconfig"] == [f"search_path={CELL.search_path}"]
        assert not function["owner"].startswith("beacon_")
        assert "{=X" not in function["acl"], json.dumps(function)
        assert ",=X" not in function["acl"], json.dumps(function)
