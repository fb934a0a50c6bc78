"""Messages: what Redis lost is staged again, what can't go on ends, what is on its way is left alone."""

from pathlib import Path
from typing import Any

import psycopg

from outbox_publisher.sweeper import Sweeper
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_core.db import Database
from runner_queue.broker import Broker
from runner_worker.engine.leases import claim
from tests.cells import CELL
from tests.engine import running
from tests.jobs import catalogue, one, query, submission, submit, submit_many
from tests.sweeping import age, drain, events, expire, look_now

Conn = psycopg.Connection[Any]
ADMIN = Actor("admin")


def test_a_region_that_nobody_takes_in_time_ends_as_queue_timeout(db: Database, conn: Conn, sweeper: Sweeper) -> None:
    job_id = submit(db, submission(regions=("US", "EU"), models=("m1", "m2"))).job_id
    held = submit(db, submission(regions=("US", "EU"))).job_id
    claim(db, [(held, "EU")], "alive")
    look_now(sweeper)
    assert one(conn, "SELECT count(*) FROM executions") == 0
    conn.execute(b"UPDATE jobs SET queued_until = clock_timestamp() - interval '1 second'")
    look_now(sweeper)
    ended = query(conn, "SELECT DISTINCT job_id, region, error ->> 'code' AS code FROM executions ORDER BY 1, 2")
    assert [(row["job_id"], row["region"]) for row in ended] == sorted([(job_id, "EU"), (job_id, "US"), (held, "US")])
    assert {row["code"] for row in ended} == {"queue_timeout"}
    assert one(conn, "SELECT status FROM jobs WHERE id = %s", job_id) == "failed"
    assert one(conn, "SELECT status FROM jobs WHERE id = %s", held) == "running", "a region that runs may end"
    assert {r["status"] for r in query(conn, "SELECT status FROM region_results WHERE jobspec_id = %s", job_id)} == {
        "timeout"
    }


def test_a_region_that_ended_without_a_run_can_be_retried(db: Database, conn: Conn, sweeper: Sweeper) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    conn.execute(b"UPDATE jobs SET queued_until = clock_timestamp() - interval '1 second'")
    look_now(sweeper)
    assert retry_job(db, job_id, Wanted(), ADMIN, "again").units == [("US", "m1")]
    assert look_now(sweeper) == 0, "its time in the queue began anew"
    assert [row["attempt"] for row in claim(db, [(job_id, "US")], "w")[0]] == [1]


def test_a_region_that_a_worker_has_tried_is_staged_again_although_its_time_in_the_queue_is_over(
    db: Database, conn: Conn, sweeper: Sweeper
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    conn.execute(
        b"UPDATE jobs SET created_at = clock_timestamp() - interval '1 hour', queued_until = clock_timestamp()"
    )
    claim(db, [(job_id, "US")], "dead")
    expire(conn)
    assert sweeper.run_once() == 1
    look_now(sweeper)
    assert events(conn, job_id) == ["submitted", "region_claimed", "lease_expired", "region_staged"]


def test_a_retry_of_one_model_of_a_region_that_nobody_took_asks_that_model_alone(
    db: Database, conn: Conn, sweeper: Sweeper, tmp_path: Path
) -> None:
    job_id = submit(db, submission(regions=("US",), models=("m1", "m2"))).job_id
    conn.execute(b"UPDATE jobs SET queued_until = clock_timestamp() - interval '1 second'")
    look_now(sweeper)
    assert retry_job(db, job_id, Wanted(model_id="m1"), ADMIN, "again").units == [("US", "m1")]
    with running(db, catalogue(tmp_path)) as engine:
        assert engine.run((job_id, "US")) == ["finished"]
    assert query(conn, "SELECT DISTINCT model_id FROM answers") == [{"model_id": "m1"}]
    assert query(conn, "SELECT model_id, status, error ->> 'code' AS code FROM executions ORDER BY 1") == [
        {"model_id": "m1", "status": "completed", "code": None},
        {"model_id": "m2", "status": "failed", "code": "queue_timeout"},
    ]


def test_a_message_that_was_given_up_ends_its_region_alone(db: Database, conn: Conn, sweeper: Sweeper) -> None:
    job_id = submit(db, submission(regions=("US", "EU"))).job_id
    conn.execute(b"UPDATE outbox SET dead_at = clock_timestamp() WHERE topic = 'beacon-us'")
    look_now(sweeper)
    ended = query(conn, "SELECT region, error ->> 'code' AS code FROM executions")
    assert ended == [{"region": "US", "code": "undeliverable"}]
    assert one(conn, "SELECT status FROM jobs WHERE id = %s", job_id) == "running"


def test_a_message_that_redis_lost_is_staged_again_and_one_that_waits_there_is_not(
    db: Database, broker: Broker, conn: Conn, sweeper: Sweeper
) -> None:
    lost, kept = submit_many(db, 2, regions=("US",))
    drain(db, broker)
    age(conn)
    dispatch = one(conn, "SELECT dispatch_id FROM outbox WHERE job_id = %s", lost)
    broker.redis.lrem(f"rq:queue:{CELL.queue('beacon-us')}", 1, dispatch)
    assert look_now(sweeper) == 1
    assert query(conn, "SELECT job_id FROM outbox WHERE processed_at IS NULL") == [{"job_id": lost}]
    assert events(conn, lost)[-1] == "region_staged"
    assert look_now(sweeper) == 0, "what was staged is on its way"
    assert events(conn, kept) == ["submitted"]


def test_a_long_queue_does_not_amplify_itself(db: Database, broker: Broker, conn: Conn, sweeper: Sweeper) -> None:
    submit_many(db, 200, regions=("US", "EU"))
    drain(db, broker)
    age(conn)
    assert [look_now(sweeper) for _ in range(3)] == [0, 0, 0]
    assert one(conn, "SELECT count(*) FROM outbox") == 400


def test_a_young_message_that_a_worker_may_just_have_taken_is_spared(
    db: Database, broker: Broker, conn: Conn, sweeper: Sweeper
) -> None:
    submit_many(db, 3, regions=("US",))
    drain(db, broker)
    broker.redis.delete(f"rq:queue:{CELL.queue('beacon-us')}")
    assert look_now(sweeper) == 0
    age(conn)
    assert look_now(sweeper) == 3


def test_a_message_whose_region_runs_or_has_ended_is_not_missed(
    db: Database, broker: Broker, conn: Conn, sweeper: Sweeper
) -> None:
    runs, cancelled, waits = submit_many(db, 3, regions=("US",))
    drain(db, broker)
    broker.redis.delete(f"rq:queue:{CELL.queue('beacon-us')}")
    age(conn)
    claim(db, [(runs, "US")], "alive")
    cancel_job(db, cancelled, ADMIN, "a")
    assert look_now(sweeper) == 1
    assert query(conn, "SELECT job_id FROM outbox WHERE processed_at IS NULL") == [{"job_id": waits}]
