"""A worker takes, reads and settles messages; RQ's tools see it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rq import Queue, Worker

from runner_cli.embedded import EmbeddedValkey
from runner_worker.rq.worker import RegionWorker, connect, worker_name
from tests.worker_stage import QUEUE, TOPIC, Stage


def test_it_runs_what_the_broker_pushed_and_leaves_nothing_behind(start: Callable[..., Stage], redis_url: str) -> None:
    stage = start(redis_url)
    stage.push(*(f"job-{number}" for number in range(250)))
    stage.until(lambda: len(stage.ran()) == 250)
    assert sorted(stage.ran()) == sorted(f"job-{number}" for number in range(250))
    assert max(map(len, stage.batches())) <= 8
    stage.until(lambda: (seen := stage.worker()) and seen.successful_job_count == 250 and seen.get_state() == "idle")
    assert stage.client.keys("rq:job:*") == []
    assert stage.client.zcard(f"rq:wip:{TOPIC}") == 0
    assert stage.client.llen(QUEUE) == 0


def test_a_round_takes_no_more_than_its_batch_and_than_there_is_room(
    start: Callable[..., Stage], redis_url: str
) -> None:
    stage = start(redis_url, room=7, batch=3)
    stage.client.set("hold", 1)
    stage.push(*(f"job-{number}" for number in range(20)))
    stage.until(lambda: len(stage.ran()) == 7)
    assert [len(batch) for batch in stage.batches()] == [3, 3, 1]
    assert stage.client.llen(QUEUE) == 13
    stage.client.rpush("released", "finished", "error")
    stage.until(lambda: len(stage.ran()) == 9)
    assert stage.ran() == [f"job-{number}" for number in range(9)]


def test_rqs_tools_see_it(start: Callable[..., Stage], redis_url: str) -> None:
    stage = start(redis_url)
    stage.client.set("hold", 1)
    dispatched = stage.push("a", "b", "c")
    stage.until(lambda: (seen := stage.worker()) and seen.get_state() == "busy")
    registry = Queue(TOPIC, connection=stage.client).started_job_registry
    assert sorted(id_.split(":")[0] for id_ in registry.get_job_ids(cleanup=False)) == sorted(dispatched)
    info = subprocess.run(
        [Path(sys.executable).parent / "rq", "info", "--url", redis_url, "--raw"], capture_output=True, text=True
    ).stdout
    assert f"queue {TOPIC} 0, 3 executing" in info
    assert f"{stage.process.pid}) busy {TOPIC}. jobs: 0 finished, 0 failed" in info
    stage.client.rpush("released", "finished", "error", "not_claimed")
    stage.until(lambda: (seen := stage.worker()) and seen.get_state() == "idle")
    seen = stage.worker()
    assert seen is not None
    assert (seen.successful_job_count, seen.failed_job_count) == (2, 1)
    assert seen.total_working_time > 0
    assert registry.get_job_ids(cleanup=False) == []
    assert stage.end() == 0
    assert Worker.count(connection=stage.client) == 0


def test_poison_is_refused_and_the_worker_lives(start: Callable[..., Stage], redis_url: str) -> None:
    from test_job_class import GOOD, leave, poisons

    stage = start(redis_url, batch=4)
    bait = poisons("http://192.0.2.1")
    for fields in bait.values():
        leave(stage.client, fields)
    stage.client.set("rq:job:no-hash", "a string")
    stage.client.rpush(QUEUE, "no-hash", b"\xff\x00", "../not an id", "no-such-hash")
    stage.push("the-good-one")
    stage.until(lambda: "the-good-one" in stage.ran())
    allowed = sum(fields.get("data") == GOOD for fields in bait.values())
    assert stage.ran() == ["job-1"] * allowed + ["the-good-one"]
    refused = len(bait) - allowed - 1 + 1  # a hash without data is as good as none; a string is no hash
    stage.until(lambda: (seen := stage.worker()) and seen.failed_job_count == refused)
    assert stage.client.llen(QUEUE) == 0
    assert stage.client.keys("rq:job:*") == []
    assert "its hash is gone" in stage.log.read_text()


def test_two_workers_share_a_queue_without_a_message_twice(start: Callable[..., Stage], redis_url: str) -> None:
    one = start(redis_url, room=4)
    two = start(redis_url, room=4)
    one.client.set("hold", 1)
    one.push(*(f"job-{number}" for number in range(500)))
    one.until(lambda: len(one.ran()) == 8)  # each is full: neither can empty the queue before the other has begun
    pids = {json.loads(batch)["pid"] for batch in one.client.lrange("submitted", 0, -1)}
    assert pids == {one.process.pid, two.process.pid}
    one.client.delete("hold")
    for pid in pids:
        one.client.rpush(f"released {pid}", "finished")
    one.until(lambda: len(one.ran()) >= 500)
    assert len(set(one.ran())) == len(one.ran()) == 500


def test_a_region_run_costs_few_redis_commands(start: Callable[..., Stage], own_valkey: EmbeddedValkey) -> None:
    stage = start(own_valkey.url, room=64, quiet=True)
    listens = f"rq:pubsub:{stage.until(stage.worker).name}"
    stage.until(lambda: stage.client.pubsub_numsub(listens)[0][1] == 1)  # it has registered, and only waits
    ours = {"hset", "rpush", "sadd", "blmove", "lpop", "hget", "unlink"}
    ours |= {"zadd", "zrem", "expire", "srem", "hdel", "lpush"}

    def used(*job_ids: str) -> int:
        stage.client.delete("submitted")
        before = stage.client.info("commandstats")
        stage.push(*job_ids)
        stage.until(lambda: len(stage.ran()) == len(job_ids))
        stage.until(lambda: stage.client.keys("rq:job:*") == [])
        after = stage.client.info("commandstats")
        calls = {
            name.removeprefix("cmdstat_"): stat["calls"] - before.get(name, {"calls": 0})["calls"]
            for name, stat in after.items()
        }
        return sum(calls.get(name, 0) for name in ours) - 1  # the engine's own note of the batch is an RPUSH

    assert used("a") <= 8  # alone it is looked for in two lists
    assert used(*(f"job-{number}" for number in range(500))) <= 3 * 500


def test_it_refuses_two_queues(redis_url: str) -> None:
    client = connect(redis_url, 1.0)
    for queues in ([], ["beacon-us", "beacon-eu"]):
        with pytest.raises(ValueError, match="exactly one queue"):
            RegionWorker(queues, worker_name("US"), None, client, region="US", claim_batch=1, grace_seconds=1)  # type: ignore[arg-type]
    assert str(os.getpid()) in worker_name("US")
