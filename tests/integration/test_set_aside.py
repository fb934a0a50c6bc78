"""One row that makes every statement with it fail stops nobody else: not the sweep, the publishing nor the removal."""

import logging
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from outbox_publisher import aside, gauges, retention, sweep
from outbox_publisher.aside import Aside
from outbox_publisher.relay import publish_batch
from outbox_publisher.retention import nothing_aside, remove_old
from outbox_publisher.sweep import check_page, take_back
from outbox_publisher.sweeper import Sweeper
from runner_core.db import Database
from runner_queue.broker import Broker
from runner_worker.engine.leases import beat, claim
from tests.cells import CELL
from tests.integration.api_client import as_role
from tests.jobs import one, opened, query, settings_for, submit_many

Conn = psycopg.Connection[Any]
JOBS = 12
PAGE = 5  # the bad one is in the second of three
REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'integer out of range' USING ERRCODE = '{state}'; END $$;
CREATE TRIGGER refuse BEFORE {event} ON {table} FOR EACH ROW WHEN ({row}.{key} IN ({bad})) EXECUTE FUNCTION refuse()
"""


@pytest.fixture
def db(database_url: str, redis_url: str) -> Iterator[Database]:
    """As the publisher runs, under its own login."""
    publisher = as_role(database_url, CELL.login("publisher"))
    with opened(settings_for(publisher, redis_url, job_retention_days=1), "publisher") as database:
        yield database


@pytest.fixture
def owner(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url)) as database:
        yield database


@pytest.fixture
def broker(db: Database) -> Iterator[Broker]:
    made = Broker(db.settings)
    yield made
    made.close()


@pytest.fixture
def jobs(owner: Database, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """More of them than a batch takes."""
    monkeypatch.setattr(sweep, "PAGE", PAGE)
    monkeypatch.setattr(retention, "JOBS_BATCH", PAGE)
    monkeypatch.setattr(retention, "BATCH", PAGE)
    return submit_many(owner, JOBS, regions=("US",))


def refuse(conn: Conn, event: str, table: str, *bad: object, key: str = "job_id", state: str = "22003") -> None:
    """Have the server raise an error for these jobs."""
    row, names = "OLD" if event == "DELETE" else "NEW", ", ".join(f"'{each}'" for each in bad)
    conn.execute(REFUSE.format(event=event, table=table, bad=names, key=key, row=row, state=state).encode())


def allow(conn: Conn, table: str) -> None:
    conn.execute(f"DROP TRIGGER refuse ON {table}".encode())


def counted(work: str) -> float:
    return REGISTRY.get_sample_value("rows_set_aside_total", {"work": work}) or 0.0


def expired(db: Database, conn: Conn, jobs: list[str]) -> None:
    claim(db, [(job_id, "US") for job_id in jobs], "dead")
    conn.execute(b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s'")


def leased(conn: Conn) -> list[str]:
    return [row["job_id"] for row in query(conn, "SELECT job_id FROM region_runs WHERE lease_token IS NOT NULL")]


@pytest.mark.parametrize("state", ["22003", "P0001", "57014", "23505"])
def test_the_leases_of_all_other_jobs_are_taken_back_in_the_same_pass(
    db: Database, owner: Database, conn: Conn, jobs: list[str], caplog: pytest.LogCaptureFixture, state: str
) -> None:
    expired(owner, conn, jobs)
    bad, before = jobs[6], counted("leases")
    refuse(conn, "INSERT", "job_events", bad, state=state)
    aside = Aside[str]("leases")
    assert sum(iter(lambda: take_back(db, aside), 0)) == JOBS
    assert leased(conn) == [bad]
    assert counted("leases") == before + 1
    (told,) = [record for record in caplog.records if "set aside" in record.message]
    assert (bad in told.message, state in told.message, told.levelno) == (True, True, logging.ERROR)
    assert take_back(db, aside) == 0, "it is left out for a while"
    assert counted("leases") == before + 1


def test_a_job_that_was_set_aside_is_tried_again_after_its_pause(
    db: Database, owner: Database, conn: Conn, jobs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "FIRST_PAUSE_SECONDS", 0.0)
    expired(owner, conn, jobs)
    refuse(conn, "INSERT", "job_events", jobs[6])
    left = Aside[str]("leases")
    while leased(conn) != [jobs[6]]:
        take_back(db, left)
    allow(conn, "job_events")
    assert take_back(db, left) == 1
    assert leased(conn) == []


def test_the_lost_messages_of_all_other_jobs_are_found_in_the_same_pass(
    db: Database, conn: Conn, jobs: list[str], broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    conn.execute(b"DELETE FROM outbox")
    refuse(conn, "INSERT", "outbox", jobs[6])
    before, left = counted("messages"), Aside[str]("messages")
    after, pages = "", []
    now = one(conn, "SELECT clock_timestamp()")
    while page := check_page(db, after, now, lambda topic, dispatch_id: False, left):
        pages.append(page)
        if page[0] is None:
            break
        after = page[0]
    assert sum(moved for _, moved in pages) == JOBS
    staged = {row["job_id"] for row in query(conn, "SELECT job_id FROM outbox")}
    assert staged == set(jobs) - {jobs[6]}
    assert counted("messages") == before + 1
    assert f"leaves out row {jobs[6]} " in caplog.text


def test_the_last_jobs_of_a_page_may_all_be_bad_and_the_next_page_is_looked_at(
    db: Database, conn: Conn, jobs: list[str]
) -> None:
    conn.execute(b"DELETE FROM outbox")
    ordered = [row["id"] for row in query(conn, "SELECT id FROM jobs ORDER BY id")]
    bad = ordered[PAGE - 2 : PAGE]
    refuse(conn, "INSERT", "outbox", *bad, state="P0001")
    now, left = one(conn, "SELECT clock_timestamp()"), Aside[str]("messages")
    assert check_page(db, "", now, lambda topic, dispatch_id: False, left) == (ordered[PAGE - 1], PAGE)
    assert one(conn, "SELECT count(*) FROM outbox") == PAGE - 2


def test_every_other_job_whose_days_are_over_is_removed_in_the_same_pass(
    db: Database, conn: Conn, jobs: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    conn.execute(b"UPDATE jobs SET status = 'failed', completed_at = clock_timestamp() - interval '2 days'")
    refuse(conn, "DELETE", "jobs", jobs[6], key="id", state="23503")
    before, asides = counted("retention.jobs"), nothing_aside()
    assert remove_old(db, asides) == JOBS - 1
    assert [row["id"] for row in query(conn, "SELECT id FROM jobs")] == [jobs[6]]
    assert counted("retention.jobs") == before + 1
    assert f"leaves out row {jobs[6]} " in caplog.text
    assert remove_old(db, asides) == 0


OLD = {
    "outbox": "UPDATE outbox SET processed_at = clock_timestamp() - interval '9 days'",
    "idempotency_keys": "UPDATE idempotency_keys SET expires_at = clock_timestamp()",
    "nonces": "INSERT INTO nonces (public_key, nonce, job_id, created_at)"
    " SELECT 'key', id, id, clock_timestamp() - interval '9 days' FROM jobs",
}


@pytest.mark.parametrize("table", OLD)
def test_every_other_old_message_key_and_nonce_is_removed_in_the_same_pass(
    db: Database, conn: Conn, jobs: list[str], table: str
) -> None:
    conn.execute(b"UPDATE jobs SET status = 'failed', completed_at = clock_timestamp()")
    conn.execute(OLD[table].encode())
    refuse(conn, "DELETE", table, jobs[6])
    assert remove_old(db) == JOBS - 1
    assert [row["job_id"] for row in query(conn, f"SELECT job_id FROM {table}")] == [jobs[6]]  # noqa: S608
    allow(conn, table)
    assert remove_old(db) == 1


def test_every_other_message_is_published_at_once(
    db: Database, conn: Conn, jobs: list[str], broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    bad = one(conn, "SELECT id FROM outbox WHERE job_id = %s", jobs[6])
    refuse(conn, "UPDATE", "outbox", bad, key="id")
    before, left = counted("publish"), Aside[int]("publish")
    assert publish_batch(db, broker, left) == JOBS
    assert [row["id"] for row in query(conn, "SELECT id FROM outbox WHERE processed_at IS NULL")] == [bad]
    assert counted("publish") == before + 1
    assert f"leaves out row {bad} " in caplog.text
    assert publish_batch(db, broker, left) == 0


@pytest.mark.parametrize("state", ["53100", "25006", "57P03"])
def test_no_row_is_blamed_for_what_the_server_lacks(
    db: Database, owner: Database, conn: Conn, jobs: list[str], state: str
) -> None:
    expired(owner, conn, jobs)
    refuse(conn, "INSERT", "job_events", jobs[0], state=state)
    before = counted("leases")
    with pytest.raises(psycopg.Error):
        take_back(db)
    assert counted("leases") == before


@pytest.mark.parametrize("state", ["57014", "42501"])
def test_no_row_is_blamed_for_what_every_row_of_its_table_meets(
    db: Database, owner: Database, conn: Conn, jobs: list[str], state: str
) -> None:
    """A lock that lasts, or a missing right: however often the pass comes again, and all are done once it is over."""
    expired(owner, conn, jobs)
    refuse(conn, "INSERT", "job_events", *jobs, state=state)
    before, left = counted("leases"), Aside[str]("leases")
    for _ in range(JOBS):
        with pytest.raises(psycopg.Error) as failed:
            take_back(db, left)
        assert failed.value.sqlstate == state
    assert counted("leases") == before
    allow(conn, "job_events")
    assert sum(iter(lambda: take_back(db, left), 0)) == JOBS


def test_no_row_is_set_aside_while_its_table_is_locked(
    database_url: str, db: Database, owner: Database, conn: Conn, jobs: list[str]
) -> None:
    expired(owner, conn, jobs)
    before, left, strict = counted("leases"), Aside[str]("leases"), settings_for(database_url, db_write_timeout_ms=500)
    with opened(strict, "publisher") as hurried, psycopg.connect(database_url) as other:
        hurried.pool.wait(60)
        other.execute(b"LOCK TABLE region_runs IN SHARE MODE")
        for _ in range(3):
            with pytest.raises((psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)):
                take_back(hurried, left)
    assert counted("leases") == before
    assert sum(iter(lambda: take_back(db, left), 0)) == JOBS, "nobody hurries here"


def test_two_bad_jobs_in_front_do_not_pass_for_a_lock_on_their_table(
    db: Database, owner: Database, conn: Conn, jobs: list[str]
) -> None:
    expired(owner, conn, jobs)
    bad = sorted(jobs)[:2]
    refuse(conn, "INSERT", "job_events", *bad, state="57014")
    before, left = counted("leases"), Aside[str]("leases")
    with pytest.raises(psycopg.errors.QueryCanceled):
        take_back(db, left)
    assert sum(iter(lambda: take_back(db, left), 0)) == JOBS
    assert sorted(leased(conn)) == bad
    assert counted("leases") == before + 2


def test_lost_messages_are_looked_for_although_no_lease_can_be_taken_back(
    db: Database, conn: Conn, jobs: list[str], broker: Broker
) -> None:
    conn.execute(b"DELETE FROM outbox")
    login, kept = CELL.login("publisher"), "job_id, region, finished_at, lease_token, attempt, max_attempts, started_at"
    conn.execute(f"REVOKE UPDATE (lease_token), SELECT ON region_runs FROM {login}".encode())  # noqa: S608 - our names
    conn.execute(f"GRANT SELECT ({kept}) ON region_runs TO {login}".encode())
    Sweeper(db, broker).run_once()
    assert one(conn, "SELECT count(*) FROM outbox") == JOBS


def test_a_queue_whose_key_holds_something_else_hides_no_other_queue(
    db: Database, owner: Database, conn: Conn, broker: Broker
) -> None:
    submit_many(owner, 3, regions=("US",))
    submit_many(owner, 3, regions=("EU",))
    conn.execute(b"UPDATE outbox SET processed_at = clock_timestamp() - interval '1 hour', dispatch_id = md5(id::text)")
    broker.redis.set(f"rq:queue:{CELL.queue('beacon-us')}", "not a list")
    Sweeper(db, broker).run_once()
    staged = query(conn, "SELECT topic, count(*) AS n FROM outbox WHERE processed_at IS NULL GROUP BY topic")
    assert staged == [{"topic": "beacon-eu", "n": 3}]


def test_a_lease_that_cannot_be_extended_runs_out_alone(owner: Database, conn: Conn, jobs: list[str]) -> None:
    """Heartbeats go in batches too."""
    claimed, _, _ = claim(owner, [(job_id, "US") for job_id in jobs], "alive")
    held = [(row["job_id"], row["region"], row["token"]) for row in claimed]
    conn.execute(
        b"UPDATE region_runs SET lease_expires_at = 'epoch', lease_token = gen_random_uuid() WHERE job_id = %s",
        [jobs[1]],
    )
    conn.execute(b"UPDATE region_runs SET lease_expires_at = 'epoch'")
    refuse(conn, "UPDATE", "region_runs", jobs[6])
    assert beat(owner, held) == [next(token for job_id, _, token in held if job_id == jobs[1])]
    overdue = query(
        conn, "SELECT job_id FROM region_runs WHERE lease_expires_at < clock_timestamp() ORDER BY attempt, job_id"
    )
    assert {row["job_id"] for row in overdue} == {jobs[1], jobs[6]}


def test_a_gauge_that_cannot_be_read_leaves_the_others_true(db: Database, conn: Conn, jobs: list[str]) -> None:
    conn.execute(f"REVOKE SELECT ON processes FROM {CELL.login('publisher')}".encode())  # noqa: S608 - our names
    gauges.refresh(db, (progress := iter(range(9))).__next__)
    assert next(progress) == 4, "one after each read, also after one that fails"
    assert REGISTRY.get_sample_value("outbox_unpublished_count") == JOBS
    assert REGISTRY.get_sample_value("jobs", {"status": "queued"}) == JOBS
