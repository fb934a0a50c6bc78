"""The sweeper: what got lost comes back by the front door, what can't go on ends, what is on its way is left alone."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as RedisConnectionError

from outbox_publisher import retention, sweep
from outbox_publisher.relay import publish_batch
from outbox_publisher.retention import NONCE_DAYS, remove_old
from outbox_publisher.sweep import check_page, take_back
from outbox_publisher.sweeper import Sweeper
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_cli.embedded import EmbeddedValkey
from runner_core.db import Database
from runner_core.queries import run
from runner_core.store.jobs import KEY_DAYS
from runner_queue.broker import Broker
from runner_worker.engine.leases import claim
from tests.engine import running
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, submit_many, until

Conn = psycopg.Connection[Any]
ADMIN = Actor("admin")


@pytest.fixture
def db(database_url: str, redis_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url, redis_url), "publisher") as database:
        yield database


@pytest.fixture
def broker(db: Database) -> Iterator[Broker]:
    made = Broker(db.settings)
    yield made
    made.close()


@pytest.fixture
def sweeper(db: Database, broker: Broker) -> Sweeper:
    """One that has looked at Redis before and found nothing new."""
    made = Sweeper(db, broker)
    settle(made)
    return made


def settle(sweeper: Sweeper) -> None:
    """Let the first looks at a new Redis pass, while there is nothing to find."""
    for _ in range(3):
        sweeper.run_once()


def drain(db: Database, broker: Broker) -> int:
    return sum(iter(lambda: publish_batch(db, broker), 0))


def expire(conn: Conn) -> None:
    past = b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s' WHERE lease_token IS NOT NULL"
    conn.execute(past)


def age(conn: Conn) -> None:
    """Messages that were sent so long ago that the periodic check asks for them."""
    conn.execute(b"UPDATE outbox SET processed_at = processed_at - interval '1 hour'")


def look_now(sweeper: Sweeper) -> int:
    """The periodic check, without its period."""
    sweeper.next_check = 0.0
    return sweeper.run_once()


def waiting(conn: Conn) -> int:
    return int(one(conn, "SELECT count(*) FROM outbox WHERE processed_at IS NULL AND dead_at IS NULL"))


def events(conn: Conn, job_id: str) -> list[str]:
    return [
        event["type"] for event in query(conn, "SELECT type FROM job_events WHERE job_id = %s ORDER BY seq", job_id)
    ]


# -- leases --


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


# -- queues --


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
    broker.redis.lrem("rq:queue:beacon-us", 1, dispatch)
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
    broker.redis.delete("rq:queue:beacon-us")
    assert look_now(sweeper) == 0
    age(conn)
    assert look_now(sweeper) == 3


def test_a_message_whose_region_runs_or_has_ended_is_not_missed(
    db: Database, broker: Broker, conn: Conn, sweeper: Sweeper
) -> None:
    runs, cancelled, waits = submit_many(db, 3, regions=("US",))
    drain(db, broker)
    broker.redis.delete("rq:queue:beacon-us")
    age(conn)
    claim(db, [(runs, "US")], "alive")
    cancel_job(db, cancelled, ADMIN, "a")
    assert look_now(sweeper) == 1
    assert query(conn, "SELECT job_id FROM outbox WHERE processed_at IS NULL") == [{"job_id": waits}]


# -- a Redis that forgot --


@pytest.fixture
def forgetful(database_url: str, own_valkey: EmbeddedValkey) -> Iterator[tuple[Database, Broker, EmbeddedValkey]]:
    settings = settings_for(database_url, own_valkey.url)
    with opened(settings, "publisher") as db:
        broker = Broker(settings)
        yield db, broker, own_valkey
        broker.close()


@pytest.mark.parametrize("fault", ["emptied", "restarted empty"])
def test_a_thousand_queued_regions_are_staged_again_in_one_pass_when_redis_forgot_them(
    forgetful: tuple[Database, Broker, EmbeddedValkey], conn: Conn, fault: str
) -> None:
    db, broker, valkey = forgetful
    sweeper = Sweeper(db, broker)
    settle(sweeper)
    submit_many(db, 1000, regions=("US",))
    drain(db, broker)
    assert sweeper.run_once() == 0
    if fault == "emptied":
        broker.redis.flushall()
    else:
        valkey.kill()
        for file in valkey.appended.iterdir():
            file.unlink()
        valkey.start()
    assert sweeper.run_once() == 1000
    assert waiting(conn) == 1000
    drain(db, broker)
    assert [sweeper.run_once() for _ in range(3)] == [0, 0, 0]
    assert one(conn, "SELECT count(*) FROM outbox") == 2000


def test_a_restart_that_lost_the_last_pushes_is_noticed_although_the_sentinel_is_there(
    forgetful: tuple[Database, Broker, EmbeddedValkey], conn: Conn, tmp_path: Path
) -> None:
    db, broker, valkey = forgetful
    sweeper = Sweeper(db, broker)
    settle(sweeper)
    old = submit_many(db, 3, regions=("US",))
    drain(db, broker)
    broker.redis.config_set("appendfsync", "always")
    broker.redis.set("written", "now")  # with it everything before it is on disk
    kept = tmp_path / "append-only"
    shutil.copytree(valkey.appended, kept)
    new = submit_many(db, 4, regions=("US",))
    drain(db, broker)
    valkey.kill()
    valkey.start(kept)
    assert broker.redis.llen("rq:queue:beacon-us") == len(old)
    assert sweeper.run_once() == len(new)
    assert {row["job_id"] for row in query(conn, "SELECT job_id FROM outbox WHERE processed_at IS NULL")} == set(new)


def test_the_suspicion_outlives_a_redis_that_goes_away_while_it_is_asked(
    forgetful: tuple[Database, Broker, EmbeddedValkey], conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, broker, _ = forgetful
    sweeper = Sweeper(db, broker)
    settle(sweeper)
    submit_many(db, 5, regions=("US",))
    drain(db, broker)
    broker.redis.flushall()

    def away(topic: str) -> set[str]:
        raise RedisConnectionError("gone again")

    with monkeypatch.context() as broken:
        broken.setattr(broker, "queued_ids", away)
        assert sweeper.run_once() == 0
    assert sweeper.run_once() == 5


def test_the_suspicion_outlives_a_pass_for_which_another_sweeper_had_the_lead(
    forgetful: tuple[Database, Broker, EmbeddedValkey], conn: Conn, database_url: str
) -> None:
    db, broker, _ = forgetful
    sweeper = Sweeper(db, broker)
    settle(sweeper)
    submit_many(db, 5, regions=("US",))
    drain(db, broker)
    broker.redis.flushall()
    with psycopg.connect(database_url) as other:
        other.execute(b"SELECT pg_advisory_xact_lock(4711, 2)")
        assert sweeper.run_once() == 0
    assert sweeper.run_once() == 5


def test_a_job_that_was_locked_during_the_check_is_looked_at_a_moment_later(
    forgetful: tuple[Database, Broker, EmbeddedValkey], conn: Conn, database_url: str
) -> None:
    db, broker, _ = forgetful
    sweeper = Sweeper(db, broker)
    settle(sweeper)
    locked, *_ = submit_many(db, 5, regions=("US",))
    drain(db, broker)
    broker.redis.flushall()
    with psycopg.connect(database_url) as other:
        other.execute(b"SELECT 1 FROM jobs WHERE id = %s FOR NO KEY UPDATE", [locked])
        assert sweeper.run_once() == 4
    assert sweeper.run_once() == 1


def test_a_redis_that_cannot_be_asked_changes_nothing_and_is_asked_again(
    forgetful: tuple[Database, Broker, EmbeddedValkey], conn: Conn
) -> None:
    db, broker, valkey = forgetful
    sweeper = Sweeper(db, broker)
    settle(sweeper)
    job_id = submit(db, submission(regions=("US", "EU"))).job_id
    drain(db, broker)
    claim(db, [(job_id, "EU")], "dead")
    expire(conn)
    valkey.kill()
    assert sweeper.run_once() == 1, "leases need no Redis"
    assert waiting(conn) == 1
    valkey.start()
    until(lambda: broker.redis.ping())
    assert sweeper.run_once() == 0, "the append-only file kept the message"


# -- pages and rivals --


def test_a_backlog_larger_than_a_page_is_swept_to_its_end(
    db: Database, broker: Broker, conn: Conn, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PAGE", 7)
    ids = submit_many(db, 30, regions=("US",))
    drain(db, broker)
    age(conn)
    broker.redis.delete("rq:queue:beacon-us")
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
        other.execute(b"SELECT pg_advisory_xact_lock(4711, 2)")
        assert check_page(db, "", now, lambda topic, dispatch_id: True) is None
        assert take_back(db) == 1


def test_no_job_is_locked_while_redis_is_asked(
    db: Database, broker: Broker, conn: Conn, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_many(db, 3, regions=("US", "EU"))
    drain(db, broker)
    age(conn)
    broker.redis.delete("rq:queue:beacon-us")
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
    broker.redis.set("rq:queue:beacon-us", "no list")
    broker.redis.delete("rq:queue:beacon-eu")
    assert look_now(sweeper) == 3
    assert "rq:queue:beacon-us is no list" in caplog.text


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
    broker.redis.delete("rq:queue:beacon-us")
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
        other.execute(b"SELECT pg_advisory_xact_lock(4711, 2)")
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


# -- retention --


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
