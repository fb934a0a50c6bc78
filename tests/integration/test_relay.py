"""Transaction B against a real database and a real Valkey: every message once, none lost, nobody blamed for Redis."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as RedisConnectionError

from outbox_publisher.relay import publish_batch
from outbox_publisher.sweep import check_page, take_back
from runner_cli.embedded import EmbeddedValkey
from runner_core.db import Database
from runner_queue.broker import Broker
from tests.cells import CELL
from tests.engine import running
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, submit_many, until

Conn = psycopg.Connection[Any]


@pytest.fixture
def db(database_url: str, redis_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url, redis_url), "publisher") as database:
        yield database


@pytest.fixture
def broker(db: Database) -> Iterator[Broker]:
    made = Broker(db.settings)
    yield made
    made.close()


def drain(db: Database, broker: Broker) -> list[int]:
    """Publish until nothing waits; how many rows each pass claimed."""
    passes = []
    while claimed := publish_batch(db, broker):
        passes.append(claimed)
    return passes


def fill(conn: Conn, job_id: str, count: int) -> None:
    conn.execute(
        b"INSERT INTO outbox (job_id, topic, payload) "
        b"SELECT %s, 'beacon-us', jsonb_build_object('id', n::text) FROM generate_series(1, %s) n",
        [job_id, count],
    )


def delivered(broker: Broker, topic: str) -> list[dict[str, Any]]:
    """The envelopes that lie in a queue, in order."""
    ids: Any = broker.redis.lrange(f"rq:queue:{CELL.queue(topic)}", 0, -1)
    return [json.loads(broker.redis.hget(f"rq:job:{id_.decode()}", "data"))[3] for id_ in ids]  # type: ignore[arg-type]


def test_a_message_is_the_envelope_exactly_and_its_row_remembers_the_dispatch(
    db: Database, broker: Broker, conn: Conn
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    assert publish_batch(db, broker) == 1
    [envelope] = delivered(broker, "beacon-us")
    assert envelope.keys() == {"id", "enqueued_at", "attempt", "request_id"}
    assert (envelope["id"], envelope["attempt"], envelope["request_id"]) == (job_id, 0, "r-1")
    [row] = query(conn, "SELECT dispatch_id, processed_at, attempts, payload FROM outbox")
    assert broker.queued_ids("beacon-us") == {row["dispatch_id"]}
    assert row["processed_at"] is not None
    assert row["attempts"] == 1
    assert row["payload"] == envelope


def test_a_backlog_larger_than_a_batch_drains_in_order(db: Database, broker: Broker, conn: Conn) -> None:
    ids = submit_many(db, 250, regions=("US",))
    assert drain(db, broker) == [100, 100, 50]
    assert [envelope["id"] for envelope in delivered(broker, "beacon-us")] == ids
    assert one(conn, "SELECT count(*) FROM outbox WHERE processed_at IS NULL") == 0


def test_two_publishers_over_five_thousand_rows_send_each_message_once(
    database_url: str, redis_url: str, conn: Conn
) -> None:
    with opened(settings_for(database_url, redis_url)) as db:
        job_id = submit(db, submission(regions=("US",))).job_id
    conn.execute(b"DELETE FROM outbox")
    fill(conn, job_id, 5000)
    passes: list[list[int]] = []
    start = threading.Barrier(2)

    def publisher() -> None:
        with opened(settings_for(database_url, redis_url, outbox_batch=100), "publisher") as own:
            broker = Broker(own.settings)
            start.wait()
            passes.append(drain(own, broker))
            broker.close()

    threads = [threading.Thread(target=publisher) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(sum, passes)) == 5000
    assert all(sum(claimed) > 0 for claimed in passes), "both took part"
    broker = Broker(settings_for(database_url, redis_url))
    sent = Counter(int(envelope["id"]) for envelope in delivered(broker, "beacon-us"))
    assert sent == Counter(range(1, 5001))
    assert one(conn, "SELECT count(DISTINCT dispatch_id) FROM outbox WHERE processed_at IS NOT NULL") == 5000


def test_a_row_that_another_publisher_holds_is_skipped_and_not_waited_for(
    db: Database, broker: Broker, database_url: str
) -> None:
    first, second = submit_many(db, 2, regions=("US",))
    with psycopg.connect(database_url) as other:
        other.execute(b"SELECT 1 FROM outbox WHERE job_id = %s FOR UPDATE", [first])
        assert publish_batch(db, broker) == 1
        assert [envelope["id"] for envelope in delivered(broker, "beacon-us")] == [second]
    assert publish_batch(db, broker) == 1


def test_a_row_that_fails_backs_off_alone(db: Database, broker: Broker, conn: Conn) -> None:
    good, poison, after = submit_many(db, 3, regions=("US",))
    too_long = b"UPDATE outbox SET payload = jsonb_set(payload, '{id}', to_jsonb(repeat('x', 20000))) WHERE job_id = %s"
    conn.execute(too_long, [poison])
    assert publish_batch(db, broker) == 3
    assert [envelope["id"] for envelope in delivered(broker, "beacon-us")] == [good, after]
    sql = (
        "SELECT attempts, last_error, dead_at, available_at > clock_timestamp() AS later FROM outbox WHERE job_id = %s"
    )
    [row] = query(conn, sql, poison)
    assert row["attempts"] == 1
    assert "bytes, more than" in row["last_error"]
    assert row["later"]
    assert row["dead_at"] is None
    assert publish_batch(db, broker) == 0, "it waits for its time"


def test_a_row_is_dead_only_after_its_attempts_and_its_age(database_url: str, redis_url: str, conn: Conn) -> None:
    settings = settings_for(database_url, redis_url, outbox_max_attempts=2, outbox_dead_after_seconds=600)
    with opened(settings) as db:
        broker = Broker(settings)
        submit(db, submission(regions=("US",)))
        conn.execute(b"UPDATE outbox SET topic = 'beacon us'")

        def fail_again() -> bool:
            conn.execute(b"UPDATE outbox SET available_at = clock_timestamp()")
            publish_batch(db, broker)
            return bool(one(conn, "SELECT dead_at IS NOT NULL FROM outbox"))

        assert [fail_again() for _ in range(4)] == [False] * 4, "old enough attempts, too young"
        conn.execute(b"UPDATE outbox SET attempts = 0, created_at = clock_timestamp() - interval '1 hour'")
        assert [fail_again() for _ in range(2)] == [False, True], "old enough, too few attempts"
        conn.execute(b"UPDATE outbox SET available_at = clock_timestamp()")
        assert publish_batch(db, broker) == 0, "the dead are not tried again"


def test_the_region_of_a_dead_row_ends_as_undeliverable(database_url: str, redis_url: str, conn: Conn) -> None:
    settings = settings_for(database_url, redis_url, outbox_max_attempts=1, outbox_dead_after_seconds=0)
    with opened(settings) as db:
        broker = Broker(settings)
        job_id = submit(db, submission(regions=("US",))).job_id
        conn.execute(b"UPDATE outbox SET payload = jsonb_set(payload, '{id}', to_jsonb(repeat('x', 20000)))")
        publish_batch(db, broker)
        now = one(conn, "SELECT clock_timestamp()")
        assert take_back(db) == 0
        check_page(db, "", now, lambda topic, dispatch_id: True)
    assert one(conn, "SELECT status FROM jobs WHERE id = %s", job_id) == "failed"
    assert one(conn, "SELECT error ->> 'code' FROM executions") == "undeliverable"


def test_a_backoff_doubles_and_is_bounded(db: Database, broker: Broker, conn: Conn) -> None:
    submit(db, submission(regions=("US",)))
    conn.execute(b"UPDATE outbox SET topic = 'beacon us'")
    waits = []
    for attempts in (0, 1, 4, 30):
        conn.execute(b"UPDATE outbox SET attempts = %s, available_at = clock_timestamp()", [attempts])
        publish_batch(db, broker)
        waits.append(round(one(conn, "SELECT extract(epoch FROM available_at - clock_timestamp()) FROM outbox")))
    assert waits == [1, 2, 16, 300]


def test_while_redis_is_down_nothing_is_counted_and_everything_is_sent_later(
    database_url: str, own_valkey: EmbeddedValkey, conn: Conn
) -> None:
    settings = settings_for(database_url, own_valkey.url)
    with opened(settings) as db:
        broker = Broker(settings)
        ids = submit_many(db, 120, regions=("US",))
        own_valkey.kill()
        errors = REGISTRY.get_sample_value("db_write_errors_total", {"sqlstate": "XX000"})
        for _ in range(3):
            with pytest.raises(RedisConnectionError):
                publish_batch(db, broker)
        assert query(conn, "SELECT DISTINCT attempts, processed_at, dead_at, last_error, dispatch_id FROM outbox") == [
            {"attempts": 0, "processed_at": None, "dead_at": None, "last_error": None, "dispatch_id": None}
        ]
        assert REGISTRY.get_sample_value("db_write_errors_total", {"sqlstate": "XX000"}) == errors
        submit(db, submission(job_id="accepted-meanwhile", regions=("US",)))
        own_valkey.start()
        assert drain(db, broker) == [100, 21]
        sent = [envelope["id"] for envelope in delivered(broker, "beacon-us")]
        assert sent == [*ids, "accepted-meanwhile"]


def test_a_publisher_killed_between_push_and_commit_publishes_again_which_does_no_harm(
    database_url: str, redis_url: str, conn: Conn, tmp_path: Any
) -> None:
    settings = settings_for(database_url, redis_url)
    with opened(settings) as db:
        job_id = submit(db, submission(regions=("US",))).job_id
        env = {
            "PATH": os.environ["PATH"],
            "BEACON_TEST": "1",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "BEACON_FAILPOINT": "publisher.pushed=kill",
        }
        killed = subprocess.run(
            [sys.executable, "-m", "outbox_publisher"], env=env, timeout=60, capture_output=True, check=False
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        broker = Broker(settings)
        assert one(conn, "SELECT dispatch_id IS NULL AND processed_at IS NULL FROM outbox")
        assert len(delivered(broker, "beacon-us")) == 1
        # The row stays locked, and is skipped, until the server has seen the end of the killed publisher's session.
        until(lambda: publish_batch(db, broker) == 1)
        first, second = broker.redis.lrange(f"rq:queue:{CELL.queue('beacon-us')}", 0, -1)  # type: ignore[misc]
        assert first != second, "a rolled-back push does not lend its id to the next"
        assert one(conn, "SELECT dispatch_id FROM outbox") == second.decode()
        # Both messages reach a worker: one claim wins, the other has nothing to do.
        with running(db, catalogue(tmp_path)) as engine:
            assert engine.run((job_id, "US")) == ["finished"]
            assert engine.run((job_id, "US")) == ["not_claimed"]
    assert one(conn, "SELECT count(*) FROM executions") == 1


def test_publishing_is_counted(db: Database, broker: Broker, conn: Conn) -> None:
    def count(name: str) -> float:
        return REGISTRY.get_sample_value(name) or 0

    before = count("outbox_published_total"), count("outbox_publish_errors_total")
    submit_many(db, 3, regions=("US",))
    conn.execute(b"UPDATE outbox SET topic = 'beacon us' WHERE id = (SELECT min(id) FROM outbox)")
    publish_batch(db, broker)
    assert count("outbox_published_total") == before[0] + 2
    assert count("outbox_publish_errors_total") == before[1] + 1


def test_a_region_whose_queue_holds_something_else_fails_alone(db: Database, broker: Broker, conn: Conn) -> None:
    broker.redis.set(f"rq:queue:{CELL.queue('beacon-eu')}", "not a list")
    submit(db, submission(regions=("US", "EU")))
    publish_batch(db, broker)
    assert query(conn, "SELECT topic, processed_at IS NULL AS waits FROM outbox ORDER BY id") == [
        {"topic": "beacon-us", "waits": False},
        {"topic": "beacon-eu", "waits": True},
    ]
    broker.redis.delete(f"rq:queue:{CELL.queue('beacon-eu')}")


def test_the_order_of_redis_and_the_database_is_push_then_mark(db: Database, broker: Broker, conn: Conn) -> None:
    """A mark that comes first would lose what was not pushed; a message that comes first is at worst superfluous."""
    submit(db, submission(regions=("US",)))

    class Dead(Broker):
        def push(self, rows: Any) -> dict[int, Exception]:
            super().push(rows)
            raise redis.exceptions.TimeoutError("the reply was lost")

    dead = Dead(db.settings)
    with pytest.raises(redis.exceptions.TimeoutError):
        publish_batch(db, dead)
    assert one(conn, "SELECT processed_at IS NULL FROM outbox")
    assert len(delivered(broker, "beacon-us")) == 1
    dead.close()
