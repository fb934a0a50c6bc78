"""A Redis that was emptied or restarted: every open region's message is looked for."""

import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from outbox_publisher.sweeper import Sweeper
from runner_api.verbs.actor import Actor
from runner_cli.embedded import EmbeddedValkey
from runner_core.db import Database
from runner_core.queries import statements
from runner_queue.broker import Broker
from runner_worker.engine.leases import claim
from tests.cells import CELL
from tests.jobs import one, query, submission, submit, submit_many, until
from tests.sweeping import drain, expire, settle, waiting

Conn = psycopg.Connection[Any]
ADMIN = Actor("admin")


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
    assert broker.redis.llen(f"rq:queue:{CELL.queue('beacon-us')}") == len(old)
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
        other.execute(statements()["sweep.lead"].sql, {"work": 2})
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
