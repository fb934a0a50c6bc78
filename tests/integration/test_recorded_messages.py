"""Messages that release 0.1.0 pushed (commit 099a8c6, recorded from a Valkey): read today as then, and written alike.

Publishers and workers of two releases share a Redis while an upgrade is rolled out: a message that the other release
does not know is lost until the sweeper finds it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from rq.utils import import_attribute

from runner_core.settings import Settings
from runner_queue import message, sentinel, stack_marker
from runner_queue.broker import Broker
from runner_queue.push import OutboxRow
from runner_worker.engine import Message
from runner_worker.job import RegionJob
from runner_worker.rq.worker import RegionWorker, connect, worker_name
from runner_worker.tasks import run_region

RECORDED = json.loads((Path(__file__).parent.parent / "data/messages_0.1.0.json").read_text("utf-8"))
HASHES: dict[str, dict[str, str]] = RECORDED["hashes"]
QUEUES: dict[str, list[str]] = RECORDED["queues"]
TIMES = {"created_at", "enqueued_at"}


def envelope(hash_: dict[str, str]) -> dict[str, Any]:
    """What a hash's `data` calls run_region with."""
    function, instance, args, kwargs = json.loads(hash_["data"])
    assert (function, instance, args) == ("runner_worker.tasks.run_region", None, [])
    return dict(kwargs)


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(redis_url) as connection:
        for id_, fields in HASHES.items():
            connection.hset(f"rq:job:{id_}", mapping=fields)  # type: ignore[arg-type]
        for topic, ids in QUEUES.items():
            connection.sadd("rq:queues", f"rq:queue:{topic}")
            connection.rpush(f"rq:queue:{topic}", *ids)
        yield connection


def test_the_worker_takes_them(client: "redis.Redis[bytes]", redis_url: str) -> None:
    given: list[Message] = []

    class Engine:
        broken = False

        def is_late(self) -> bool:
            return False

        def free(self) -> int:
            return 8

        def submit(self, messages: list[Message], *_: object) -> None:
            given.extend(messages)

    engine: Any = Engine()
    with connect(redis_url, 1.0) as own:
        worker = RegionWorker(
            ["beacon-us"], worker_name("US"), engine, own, region="US", claim_batch=9, grace_seconds=1
        )
        assert worker.run_once() == len(QUEUES["beacon-us"])
        worker.sign_off()
    sent = {id_: envelope(HASHES[id_]) for id_ in QUEUES["beacon-us"]}
    assert given == [Message(call["id"], "US", call["request_id"], id_) for id_, call in sent.items()]
    assert client.keys("rq:job:*") == [f"rq:job:{QUEUES['beacon-asia'][0]}".encode()]


@pytest.mark.parametrize("id_", HASHES)
def test_rqs_own_worker_finds_the_function_and_the_job_class(client: "redis.Redis[bytes]", id_: str) -> None:
    job = RegionJob.fetch(id_, client)
    assert (job.func_name, job.kwargs) == ("runner_worker.tasks.run_region", envelope(HASHES[id_]))
    assert job.func is import_attribute(job.func_name) is run_region
    assert import_attribute("runner_worker.job.RegionJob") is RegionJob


def test_what_is_pushed_today_has_every_field_that_0_1_0_reads(redis_url: str) -> None:
    broker = Broker(Settings.from_env({"REDIS_URL": redis_url}))
    rows = [OutboxRow(n, HASHES[id_]["origin"], envelope(HASHES[id_]), id_, 0) for n, id_ in enumerate(HASHES)]
    assert broker.push(rows) == {}
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert {topic: client.lrange(f"rq:queue:{topic}", 0, -1) for topic in QUEUES} == QUEUES
        assert client.smembers("rq:queues") == {f"rq:queue:{topic}" for topic in QUEUES}
        for id_, recorded in HASHES.items():
            pushed = client.hgetall(f"rq:job:{id_}")
            assert {name: pushed[name] for name in recorded.keys() - TIMES} == {
                name: recorded[name] for name in recorded.keys() - TIMES
            }
            assert all(len(pushed[name]) == len(recorded[name]) for name in TIMES)
    broker.close()


def test_names_that_two_releases_share() -> None:
    assert (sentinel.SENTINEL, stack_marker.KEY, message.QUEUES_KEY) == ("beacon:sentinel", "beacon:stack", "rq:queues")
    assert (message.queue_key("beacon-us"), message.job_key("a")) == ("rq:queue:beacon-us", "rq:job:a")
