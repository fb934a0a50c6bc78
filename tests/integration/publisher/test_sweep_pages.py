"""Pages larger than one, several sweepers at once, and the order of locks."""

import threading
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import psycopg
import pytest

from outbox_publisher import sweep
from outbox_publisher.sweep import check_page, take_back
from outbox_publisher.sweeper import Sweeper
from runner_api.verbs.actor import Actor
from runner_core.db import Database
from runner_core.queries import run, statements
from runner_queue.broker import Broker
from runner_worker.engine.leases import claim
from tests.cells import CELL
from tests.jobs import one, opened, query, settings_for, submission, submit, submit_many, until
from tests.sweeping import age, drain, expire, look_now

Conn = psycopg.Connection[Any]
ADMIN = Actor("admin")


def test_a_backlog_larger_than_a_page_is_swept_to_its_end(
    db: Database, broker: Broker, conn: Conn, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PAGE", 7)
    ids = submit_many(db, 30, regions=("US",))
    drain(db, broker)
    age(conn)
    broker.redis.delete(f"rq:queue:{CELL.queue('beacon-us')}")
    assert look_now(sweeper) == 30
    claim(db, [(job_id, "US") for job_id in ids], "dead")
    expire(conn)
    assert sweeper.run_once() == 30, "a crowd of lost leases does not wait for a second a page"
    claim(db, [(job_id, "US") for job_id in ids], "dead")
    expire(conn)
    passes = list(iter(lambda: take_back(db), 0))
    assert passes == [7, 7, 7, 7, 2]


def test_leases_are_taken_back_during_another_sweepers_long_pass(db: Database, conn: Conn, database_url: str) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    claim(db, [(job_id, "US")], "dead")
    expire(conn)
    now: datetime = one(conn, "SELECT clock_timestamp()")
    with psycopg.connect(database_url) as other:
        other.execute(statements()["sweep.lead"].sql, {"work": 2})
        assert check_page(db, "", now, lambda topic, dispatch_id: True) is None
        assert take_back(db) == 1


def test_no_job_is_locked_while_redis_is_asked(
    db: Database, broker: Broker, conn: Conn, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_many(db, 3, regions=("US", "EU"))
    drain(db, broker)
    age(conn)
    broker.redis.delete(f"rq:queue:{CELL.queue('beacon-us')}")
    ask, asked = broker.queued_ids, []

    def free(topic: str) -> set[str]:
        conn.execute(b"SELECT id FROM jobs FOR UPDATE NOWAIT")
        asked.append(topic)
        return ask(topic)

    monkeypatch.setattr(broker, "queued_ids", free)
    assert look_now(sweeper) == 3
    assert sorted(asked) == ["beacon-eu", "beacon-us"]


def test_a_queue_whose_key_holds_something_else_keeps_no_other_from_its_lost_messages(
    db: Database, broker: Broker, conn: Conn, sweeper: Sweeper, caplog: pytest.LogCaptureFixture
) -> None:
    submit_many(db, 3, regions=("US", "EU"))
    drain(db, broker)
    age(conn)
    broker.redis.set(f"rq:queue:{CELL.queue('beacon-us')}", "no list")
    broker.redis.delete(f"rq:queue:{CELL.queue('beacon-eu')}")
    assert look_now(sweeper) == 3
    assert "rq:queue:beacon-us is not a list" in caplog.text


def test_healthy_jobs_in_front_do_not_starve_the_rest(
    db: Database, broker: Broker, conn: Conn, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PAGE", 5)
    for number in range(20):
        submit(db, submission(f"a-{number:02}", regions=("US",)))
    drain(db, broker)
    lost = submit(db, submission("z-lost", regions=("EU",))).job_id
    conn.execute(b"UPDATE outbox SET processed_at = clock_timestamp(), dispatch_id = 'gone' WHERE job_id = %s", [lost])
    age(conn)
    assert look_now(sweeper) == 1


def test_two_sweepers_at_once_stage_each_region_once(
    database_url: str, redis_url: str, db: Database, broker: Broker, conn: Conn
) -> None:
    ids = submit_many(db, 200, regions=("US",))
    drain(db, broker)
    claim(db, [(job_id, "US") for job_id in ids[:100]], "dead")
    expire(conn)
    age(conn)
    broker.redis.delete(f"rq:queue:{CELL.queue('beacon-us')}")
    together = threading.Barrier(2)
    moved: list[int] = []

    def publisher() -> None:
        with ExitStack() as stop:
            own = stop.enter_context(opened(settings_for(database_url, redis_url)))
            rival = Sweeper(own, Broker(own.settings))
            together.wait()
            until(lambda: moved.append(look_now(rival)) or sum(moved) >= 200)

    threads = [threading.Thread(target=publisher) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(moved) == 200
    per_job = query(conn, "SELECT count(*) AS n FROM outbox GROUP BY job_id")
    assert {row["n"] for row in per_job} == {2}


def test_the_statements_stay_safe_without_the_lead(
    database_url: str, db: Database, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advisory lock only spares work: row locks and guards keep two sweepers apart."""
    monkeypatch.setattr(sweep, "is_leading", lambda conn, work: True)
    ids = submit_many(db, 60, regions=("US",))
    claim(db, [(job_id, "US") for job_id in ids], "dead")
    expire(conn)
    together = threading.Barrier(3)
    errors: list[Exception] = []

    def rival() -> None:
        with opened(settings_for(database_url)) as own:
            together.wait()
            try:
                while take_back(own):
                    pass
            except psycopg.Error as error:
                errors.append(error)

    threads = [threading.Thread(target=rival) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {row["n"] for row in query(conn, "SELECT count(*) AS n FROM outbox GROUP BY job_id")} == {2}


def test_a_page_that_another_sweeper_leads_is_told_apart_from_the_last_one(
    db: Database, conn: Conn, database_url: str
) -> None:
    submit(db, submission(regions=("US",)))
    now: datetime = one(conn, "SELECT clock_timestamp()")
    with psycopg.connect(database_url) as other:
        other.execute(statements()["sweep.lead"].sql, {"work": 2})
        assert check_page(db, "", now, lambda topic, dispatch_id: True) is None
    assert check_page(db, "~", now, lambda topic, dispatch_id: True) == (None, 0)


@pytest.mark.parametrize("name", ["sweep.clear", "region_runs.release", "region_runs.close"])
def test_region_runs_are_locked_in_order_whatever_the_plan(
    db: Database, conn: Conn, database_url: str, name: str
) -> None:
    """US lies first in the table, EU is first in the order: whoever waits for US holds EU."""
    job_id = submit(db, submission(regions=("US", "EU"))).job_id
    for region in ("US", "EU"):
        claim(db, [(job_id, region)], "w")
    expire(conn)
    held = query(conn, "SELECT job_id, region, lease_token AS token FROM region_runs ORDER BY ctid")
    assert [row["region"] for row in held] == ["US", "EU"]
    conn.execute(
        b"INSERT INTO executions (job_id, region, model_id, status, completed_at) "
        b"SELECT job_id, region, 'm1', 'completed', clock_timestamp() FROM region_runs"
    )
    params: dict[str, Any] = {"job_ids": [job_id]}
    if name == "region_runs.release":
        params = {f"{column}s": [row[column] for row in held] for column in ("job_id", "region", "token")}
        params["unbegun"] = [False, False]
    with psycopg.connect(database_url, autocommit=True) as changer, psycopg.connect(database_url) as holder:
        changer.execute(b"SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off")
        holder.execute(b"SELECT 1 FROM region_runs WHERE region = 'US' FOR UPDATE")
        changing = threading.Thread(target=lambda: run(changer, name, **params))
        changing.start()
        waits = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
        until(lambda: one(conn, waits, changer.info.backend_pid) == "Lock")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute(b"SELECT 1 FROM region_runs WHERE region = 'EU' FOR UPDATE NOWAIT")
        holder.rollback()
        changing.join()
    assert one(conn, "SELECT count(*) FROM region_runs WHERE lease_token IS NULL") == 2
