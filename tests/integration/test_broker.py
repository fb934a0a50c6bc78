"""The publisher's broker against a real Valkey: what a push leaves there, whose fault a failure is, what it costs."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
import redis
from rq.job import Job
from rq.serializers import JSONSerializer

from runner_cli.embedded import EmbeddedValkey
from runner_core.settings import Settings
from runner_queue.broker import Broker
from runner_queue.push import OutboxRow
from runner_worker.rq.job import RegionJob

TOPIC = "beacon-us"


def settings_for(url: str, **changes: object) -> Settings:
    env = {"BEACON_TEST": "1", "REDIS_URL": url, "REDIS_TIMEOUT_SECONDS": "1"}
    return Settings.from_env(env | {name.upper(): str(value) for name, value in changes.items()})


def row(number: int, **changes: object) -> OutboxRow:
    payload = {"id": f"job-{number}", "enqueued_at": "2026-11-24T07:00:00.000Z", "attempt": 0, "request_id": "r"}
    made = OutboxRow(id=number, topic=TOPIC, payload=payload, dispatch_id=uuid4().hex, attempts=0)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


@pytest.fixture
def broker(redis_url: str) -> Iterator[Broker]:
    made = Broker(settings_for(redis_url))
    yield made
    made.close()


def commands(client: "redis.Redis[bytes]") -> dict[str, int]:
    return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in client.info("commandstats").items()}


def test_a_push_leaves_rqs_hash_and_the_id_in_order(broker: Broker, client: "redis.Redis[bytes]") -> None:
    rows = [row(number) for number in range(3)]
    assert broker.push(rows) == {}
    assert client.lrange(f"rq:queue:{TOPIC}", 0, -1) == [made.dispatch_id.encode() for made in rows]
    assert client.smembers("rq:queues") == {f"rq:queue:{TOPIC}".encode()}
    stored = client.hgetall(f"rq:job:{rows[1].dispatch_id}")
    assert json.loads(stored[b"data"]) == ["runner_worker.tasks.run_region", None, [], rows[1].payload]
    assert (stored[b"origin"], stored[b"status"]) == (TOPIC.encode(), b"queued")
    assert (stored[b"timeout"], stored[b"result_ttl"], stored[b"failure_ttl"]) == (b"-1", b"300", b"86400")
    assert b"ttl" not in stored
    assert client.ttl(f"rq:job:{rows[1].dispatch_id}") == -1


def test_rqs_own_tools_read_the_region_and_the_job(broker: Broker, client: "redis.Redis[bytes]") -> None:
    pushed = [row(1), row(2, topic="beacon-us-east"), row(3, topic="beacon-eu")]
    assert broker.push(pushed) == {}
    for kind in (Job, RegionJob):
        found = [kind.fetch(made.dispatch_id, client, JSONSerializer).description for made in pushed]
        assert found == ["US job-1", "US-EAST job-2", "EU job-3"], kind


def test_every_topic_gets_its_own_queue(broker: Broker, client: "redis.Redis[bytes]") -> None:
    rows = [row(number, topic=f"beacon-{region}") for number, region in enumerate(("us", "eu", "us", "asia"))]
    assert broker.push(rows) == {}
    assert client.llen("rq:queue:beacon-us") == 2
    assert broker.queued_ids("beacon-eu") == {rows[1].dispatch_id}


def test_a_row_that_cannot_be_encoded_fails_alone(broker: Broker, client: "redis.Redis[bytes]") -> None:
    good, after = row(1), row(6)
    bad = [
        row(2, payload={"id": {1, 2}}),
        row(3, payload={"id": float("nan")}),
        row(4, dispatch_id="not an id"),
        row(5, payload={"id": "x" * 20_000}),
        row(7, topic="beacon us"),
    ]
    failures = broker.push([good, *bad, after])
    assert sorted(failures) == [2, 3, 4, 5, 7]
    assert broker.queued_ids(TOPIC) == {good.dispatch_id, after.dispatch_id}
    assert broker.push([]) == {}
    assert list(broker.push(bad[:1])) == [2]


def test_an_error_reply_for_one_key_is_blamed_on_its_rows_alone(broker: Broker, client: "redis.Redis[bytes]") -> None:
    client.set("rq:queue:beacon-eu", "no list")
    poisoned = row(2)
    client.set(f"rq:job:{poisoned.dispatch_id}", "no hash")
    good, unqueued, after = row(1), row(3, topic="beacon-eu"), row(4)
    failures = broker.push([good, poisoned, unqueued, after])
    assert sorted(failures) == [2, 3]
    assert broker.queued_ids(TOPIC) == {good.dispatch_id, after.dispatch_id}
    hashes = [client.type(f"rq:job:{made.dispatch_id}") for made in (good, poisoned, unqueued, after)]
    assert hashes == [b"hash", b"string", b"none", b"hash"], "what no queue names is not kept for ever"
    assert all(isinstance(error, redis.exceptions.ResponseError) for error in failures.values())


def test_a_redis_that_takes_no_writes_is_nobodys_message(own_valkey: EmbeddedValkey) -> None:
    broker = Broker(settings_for(own_valkey.url))
    broker.push([row(1)])
    broker.redis.config_set("maxmemory", "1")
    with pytest.raises(redis.exceptions.ConnectionError, match="takes no messages"):
        broker.push([row(2)])
    broker.redis.config_set("maxmemory", "0")
    assert broker.push([row(3)]) == {}


def test_a_redis_that_is_away_is_raised_at_once_and_comes_back(own_valkey: EmbeddedValkey) -> None:
    broker = Broker(settings_for(own_valkey.url, redis_timeout_seconds=60))
    broker.push([row(1)])
    own_valkey.kill()
    begun = time.monotonic()
    with pytest.raises(redis.exceptions.ConnectionError):
        broker.push([row(2)])
    assert time.monotonic() - begun < 30
    own_valkey.start()
    assert broker.push([row(3)]) == {}


def test_a_redis_that_restarted_between_two_pushes_is_called_anew(own_valkey: EmbeddedValkey) -> None:
    broker = Broker(settings_for(own_valkey.url))
    for number in (1, 2):
        assert broker.push([row(number)]) == {}
        own_valkey.restart()


def test_a_redis_that_does_not_answer_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        broker = Broker(settings_for(url, redis_timeout_seconds=0.2))
        begun = time.monotonic()
        with pytest.raises((redis.exceptions.TimeoutError, redis.exceptions.ConnectionError)):
            broker.push([row(1)])
        assert time.monotonic() - begun < 2


def test_an_id_left_by_a_killed_stock_worker_counts_for_one_lease(redis_url: str, client: "redis.Redis[bytes]") -> None:
    broker = Broker(settings_for(redis_url, lease_seconds=0.05, heartbeat_seconds=0.02))
    waiting, moved = row(1), row(2)
    broker.push([waiting, moved])
    client.rpoplpush(f"rq:queue:{TOPIC}", f"rq:queue:{TOPIC}:intermediate")
    assert broker.queued_ids(TOPIC) == {waiting.dispatch_id, moved.dispatch_id}
    deadline = time.monotonic() + 5
    while moved.dispatch_id in broker.queued_ids(TOPIC):
        assert time.monotonic() < deadline
    assert broker.queued_ids(TOPIC) == {waiting.dispatch_id}
    assert broker.queued_ids("beacon-eu") == set()


def test_the_sentinel_tells_each_publisher_once_of_a_flush_and_of_a_restart(own_valkey: EmbeddedValkey) -> None:
    one, two = Broker(settings_for(own_valkey.url)), Broker(settings_for(own_valkey.url))
    assert [one.sentinel_changed(), two.sentinel_changed()] == [True, False]  # it was new, and is known now
    assert [one.sentinel_changed(), two.sentinel_changed()] == [False, False]
    one.redis.flushall()
    assert [one.sentinel_changed(), two.sentinel_changed()] == [True, True]
    assert [one.sentinel_changed(), two.sentinel_changed()] == [False, False]
    value = one.redis.get("beacon:sentinel")
    own_valkey.restart()
    assert one.redis.get("beacon:sentinel") == value
    assert [one.sentinel_changed(), two.sentinel_changed()] == [True, True]
    assert [one.sentinel_changed(), two.sentinel_changed()] == [False, False]


def test_a_push_of_many_costs_one_command_a_row(own_valkey: EmbeddedValkey) -> None:
    broker = Broker(settings_for(own_valkey.url))
    broker.redis.config_resetstat()
    broker.push([row(number) for number in range(100)])
    used = commands(broker.redis)
    assert (used["hset"], used["rpush"], used["sadd"]) == (100, 1, 1)
    assert not {"multi", "exec", "expire"} & used.keys()
