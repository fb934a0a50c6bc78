"""RegionWorker as a process on a real Valkey, with an engine that only records: taking, settling, signals, outages.

What the engine does with a message is tested where the engine is.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from rq import Queue, Worker
from rq.command import send_command, send_shutdown_command

from bench.chaos.proxy import Proxy
from runner_cli.embedded import EmbeddedValkey
from runner_core.settings import Settings
from runner_queue.broker import Broker
from runner_queue.push import OutboxRow
from runner_worker.engine import Message
from runner_worker.rq.worker import RegionWorker, connect, worker_name

HERE = Path(__file__).parent
TOPIC = "beacon-us"
QUEUE = f"rq:queue:{TOPIC}"
PATIENCE_SECONDS = 20.0


@dataclass
class Stage:
    """A worker process, the Redis it serves, and what its engine wrote down."""

    url: str
    log: Path
    process: "subprocess.Popen[bytes]"
    client: "redis.Redis[bytes]"

    def push(self, *job_ids: str) -> list[str]:
        rows = [
            OutboxRow(
                number, TOPIC, {"id": name, "enqueued_at": "now", "attempt": 0, "request_id": "r"}, uuid4().hex, 0
            )
            for number, name in enumerate(job_ids)
        ]
        broker = Broker(Settings.from_env({"REDIS_URL": self.url}))
        assert broker.push(rows) == {}
        broker.close()
        return [row.dispatch_id for row in rows]

    def batches(self) -> list[list[str]]:
        return [[m[0] for m in json.loads(batch)["batch"]] for batch in self.client.lrange("submitted", 0, -1)]

    def ran(self) -> list[str]:
        return [job_id for batch in self.batches() for job_id in batch]

    def until(self, fact: Callable[[], Any]) -> Any:
        """Wait for a fact; return it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (value := fact()):
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            with suppress(subprocess.TimeoutExpired):  # not a nap: it ends when the process does
                self.process.wait(0.01)
                pytest.fail(f"the worker ended: {self.log.read_text()[-4000:]}")
        return value

    def worker(self) -> Worker | None:
        """The worker as RQ's tools see it."""
        return next(iter(Worker.all(connection=self.client)), None)  # type: ignore[return-value]

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Starts a worker process on a Redis; waits until it is registered."""
    stages: list[Stage] = []

    def make(url: str, *, room: int = 8, batch: int = 100, grace: float = 20, wait: bool = True) -> Stage:
        log = tmp_path / f"worker-{len(stages)}.log"
        command = [sys.executable, str(HERE / "region_worker.py"), url, str(room), str(batch), str(grace)]
        with log.open("wb") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=sink)
        stages.append(Stage(url, log, process, redis.Redis.from_url(url)))
        if wait:
            stages[-1].until(lambda: Worker.count(connection=stages[-1].client) == len(stages))
        return stages[-1]

    yield make
    for stage in stages:
        stage.process.kill()
        stage.process.wait()
        stage.client.close()


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


def test_while_claims_fail_no_more_messages_are_taken_and_those_in_hand_are_claimed_again(
    start: Callable[..., Stage], redis_url: str
) -> None:
    stage = start(redis_url)
    stage.client.set("refuse", 1)
    stage.push("a", "b", "c")
    stage.until(lambda: "the claim failed" in stage.log.read_text())
    in_hand = 3 - stage.client.llen(QUEUE)
    stage.push("d", "e")
    refused = stage.client.get("refused")
    stage.until(lambda: int(stage.client.get("refused") or 0) >= int(refused or 0) + 2)
    assert stage.client.llen(QUEUE) == 5 - in_hand
    assert stage.ran() == []
    stage.client.delete("refuse")
    stage.until(lambda: len(stage.ran()) == 5)
    assert stage.ran() == ["a", "b", "c", "d", "e"]
    stage.until(lambda: stage.client.keys("rq:job:*") == [])


def test_a_worker_that_stops_while_claims_fail_puts_its_messages_back_in_order(
    start: Callable[..., Stage], redis_url: str
) -> None:
    stage = start(redis_url)
    stage.client.set("refuse", 1)
    stage.push("a", "b", "c")
    stage.until(lambda: stage.client.llen(QUEUE) < 3 and stage.client.get("refused"))
    assert stage.end() == 0
    stage.client.delete("refuse")
    heir = start(redis_url, wait=False)
    heir.until(lambda: heir.ran() == ["a", "b", "c"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_worker_within_a_second(number: int, start: Callable[..., Stage], redis_url: str) -> None:
    stage = start(redis_url)
    begun = time.monotonic()
    assert stage.end(number) == 0
    assert time.monotonic() - begun < 1.5
    [grace] = stage.client.lrange("drained", 0, -1)  # what is left of it since the signal
    assert 18 < float(grace) <= 20
    assert Worker.count(connection=stage.client) == 0


def test_a_warm_shutdown_takes_nothing_more_and_drains(start: Callable[..., Stage], redis_url: str) -> None:
    stage = start(redis_url)
    stage.client.set("hold", 1)
    stage.push("a", "b")
    stage.until(lambda: len(stage.ran()) == 2)
    stage.process.send_signal(signal.SIGTERM)
    stage.until(lambda: stage.client.llen("drained"))
    stage.push("too late")
    stage.process.send_signal(signal.SIGINT)  # the terminal's copy of the same wish
    stage.client.rpush("let go", 1)
    assert stage.process.wait(PATIENCE_SECONDS) == 0
    assert stage.ran() == ["a", "b"]
    assert stage.client.llen(QUEUE) == 1


def test_a_second_signal_does_not_wait_for_the_calls(start: Callable[..., Stage], redis_url: str) -> None:
    stage = start(redis_url, grace=300)
    stage.client.set("hold", 1)
    stage.push("a")
    stage.until(lambda: len(stage.ran()) == 1)
    stage.process.send_signal(signal.SIGTERM)
    stage.until(lambda: stage.client.llen("drained"))
    begun = time.monotonic()
    while stage.process.returncode is None:
        assert time.monotonic() - begun < PATIENCE_SECONDS
        stage.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            stage.process.wait(0.05)
    assert stage.process.returncode == 1
    assert Worker.count(connection=stage.client) == 0


def test_it_obeys_rqs_shutdown_and_no_other_command(start: Callable[..., Stage], redis_url: str) -> None:
    stage = start(redis_url)
    name = stage.until(stage.worker).name
    stage.until(lambda: stage.client.pubsub_numsub(f"rq:pubsub:{name}")[0][1] == 1)
    for command in ("kill-horse", "stop-job", "stop-execution", "no such"):
        send_command(stage.client, name, command)
    stage.client.publish(f"rq:pubsub:{name}", "not even JSON")
    stage.client.publish(f"rq:pubsub:{name}", b"\xff")
    stage.push("a")
    stage.until(lambda: stage.ran() == ["a"])
    stage.until(lambda: stage.log.read_text().count("command ignored") == 6)
    send_shutdown_command(stage.client, name)
    assert stage.process.wait(PATIENCE_SECONDS) == 0


def test_it_outlives_a_redis_that_is_killed_and_comes_back_empty(
    start: Callable[..., Stage], own_valkey: EmbeddedValkey
) -> None:
    stage = start(own_valkey.url)
    stage.client.set("hold", 1)
    stage.push("a")
    stage.until(lambda: stage.ran() == ["a"])
    own_valkey.kill()
    stage.until(lambda: "running calls go on" in stage.log.read_text())
    own_valkey.start()
    stage.until(lambda: "taking messages again" in stage.log.read_text())
    stage.client.flushall()
    stage.push("b")
    stage.until(lambda: stage.ran() == ["b"])
    own_valkey.restart()  # registers anew after an outage, so at once
    stage.until(lambda: (seen := stage.worker()) and seen.queue_names() == [TOPIC])
    assert stage.log.read_text().count("can't take messages") == 2
    name = stage.until(stage.worker).name
    stage.until(lambda: stage.client.pubsub_numsub(f"rq:pubsub:{name}")[0][1] == 1)
    send_shutdown_command(stage.client, name)
    assert stage.process.wait(PATIENCE_SECONDS) == 0


def wait_for_a_fresh_question(client: Any) -> None:
    """Return when a worker has just begun to wait for a message: its last question has ended, the next is asked."""

    def ended() -> int:
        return int(client.info("commandstats").get("cmdstat_blmove", {"calls": 0})["calls"])

    before = ended()
    while ended() == before or not any("b" in c["flags"] for c in client.client_list()):
        pass


def handed_out(stage: Stage, publisher: Broker, proxy: Proxy, name: str) -> bool:
    """Whether Redis handed a message out on a connection whose answers are lost. A worker whose question had ended at
    that moment asks no more, and takes the message when all is well again: then it was no loss, and is tried anew."""
    envelope = {"id": name, "enqueued_at": "now", "attempt": 0, "request_id": "r"}
    wait_for_a_fresh_question(publisher.redis)
    proxy.swallow()
    publisher.push([OutboxRow(1, TOPIC, envelope, uuid4().hex, 0)])
    deadline = time.monotonic() + 2.0
    while publisher.queued_ids(TOPIC):
        if time.monotonic() > deadline:
            proxy.heal()
            stage.until(lambda: name in stage.ran())
            publisher.sentinel_changed()  # it tells of this one too
            return False
    return True


def test_a_message_that_was_lost_on_its_way_makes_the_publishers_look(
    start: Callable[..., Stage], own_valkey: EmbeddedValkey
) -> None:
    publisher = Broker(Settings.from_env({"REDIS_URL": own_valkey.url}))
    with Proxy(own_valkey.host, own_valkey.port) as proxy:
        stage = start(own_valkey.url.replace(f":{own_valkey.port}/", f":{proxy.port}/"))
        publisher.sentinel_changed()
        assert not publisher.sentinel_changed()
        lost = next(name for name in ("a1", "a2", "a3", "a4", "a5") if handed_out(stage, publisher, proxy, name))
        proxy.heal()
        stage.until(publisher.sentinel_changed)
        stage.push("b")
        stage.until(lambda: "b" in stage.ran())
        assert lost not in stage.ran()
    publisher.close()


def test_it_waits_for_a_redis_that_is_not_there_yet_and_still_sees_a_signal(
    start: Callable[..., Stage], own_valkey: EmbeddedValkey
) -> None:
    own_valkey.kill()
    stage = start(own_valkey.url, wait=False)
    stage.until(lambda: "can't take messages" in stage.log.read_text())
    assert stage.end() == 0


def test_two_workers_share_a_queue_without_a_message_twice(start: Callable[..., Stage], redis_url: str) -> None:
    one = start(redis_url, room=4)
    start(redis_url, room=4)
    one.push(*(f"job-{number}" for number in range(500)))
    one.until(lambda: len(one.ran()) >= 500)
    assert len(set(one.ran())) == len(one.ran()) == 500
    pids = {json.loads(batch)["pid"] for batch in one.client.lrange("submitted", 0, -1)}
    assert len(pids) == 2


def test_a_region_run_costs_few_redis_commands(start: Callable[..., Stage], own_valkey: EmbeddedValkey) -> None:
    stage = start(own_valkey.url, room=64)
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

    # Alone it is looked for in two lists; six are for a report to `rq info` and idle rounds that may fall into it.
    assert used("a") <= 8 + 6
    assert used(*(f"job-{number}" for number in range(500))) <= 3 * 500


@pytest.fixture
def rounds(own_valkey: EmbeddedValkey) -> Iterator[Callable[[], tuple[RegionWorker, list[str]]]]:
    """A worker of this process, whose rounds the test runs itself, and what its engine was given."""
    workers = []

    def make() -> tuple[RegionWorker, list[str]]:
        given: list[str] = []

        class Engine:
            broken = False

            def free(self) -> int:
                return 8

            def submit(self, messages: list[Message], done: object) -> None:
                given.extend(message.dispatch_id for message in messages)

        engine: Any = Engine()
        client = connect(own_valkey.url, 1.0)
        worker = RegionWorker([TOPIC], worker_name("US"), engine, client, region="US", claim_batch=9, grace_seconds=1)
        workers.append(worker)
        return worker, given

    yield make
    for worker in workers:
        worker.sign_off()
        worker.connection.close()


def push(valkey: EmbeddedValkey, *ids: str) -> None:
    envelope = {"id": "job", "enqueued_at": "now", "attempt": 0, "request_id": ""}
    broker = Broker(Settings.from_env({"REDIS_URL": valkey.url}))
    assert broker.push([OutboxRow(n, TOPIC, envelope, name, 0) for n, name in enumerate(ids)]) == {}
    broker.close()


def test_a_full_redis_is_emptied_by_the_workers(
    rounds: Callable[[], tuple[RegionWorker, list[str]]], own_valkey: EmbeddedValkey
) -> None:
    """Nothing can be moved or told then; what is taken makes the room."""
    worker, given = rounds()
    push(own_valkey, "a", "b")
    worker.connection.config_set("maxmemory", "1")
    worker.run_once()
    assert given == ["a", "b"]
    worker.connection.config_set("maxmemory", "0")
    push(own_valkey, "c")
    worker.run_once()
    assert given == ["a", "b", "c"]


def test_an_id_that_was_left_aside_is_taken(
    rounds: Callable[[], tuple[RegionWorker, list[str]]], own_valkey: EmbeddedValkey
) -> None:
    worker, given = rounds()
    push(own_valkey, "a", "b")
    worker.connection.lmove(QUEUE, worker.intake.aside, "LEFT", "RIGHT")
    worker.run_once()
    assert given == ["a", "b"]
    assert worker.connection.keys("beacon:aside:*") == []


def test_a_redis_that_has_hung_up_on_a_busy_worker_is_no_outage(
    rounds: Callable[[], tuple[RegionWorker, list[str]]], own_valkey: EmbeddedValkey
) -> None:
    worker, given = rounds()
    push(own_valkey, "a")
    worker.run_once()
    worker.connection.client_kill_filter(skipme=True)
    push(own_valkey, "b")
    worker.run_once()
    assert given == ["a", "b"]


def test_a_signal_that_comes_while_it_takes_puts_the_messages_back_in_order(redis_url: str) -> None:
    class Signalled:
        broken = False

        def free(self) -> int:
            worker.request_stop(signal.SIGTERM, None)
            return 2

        def busy(self) -> int:
            return 0

        def submit(self, *_: object) -> None:
            pytest.fail("claimed after the signal")

        def drain(self, grace_seconds: float) -> None:
            assert grace_seconds == 1

    client = connect(redis_url, 1.0)
    worker = RegionWorker(
        [TOPIC],
        worker_name("US"),
        Signalled(),
        client,
        region="US",
        claim_batch=9,
        grace_seconds=1,  # type: ignore[arg-type]
    )
    envelope = {"id": "job", "enqueued_at": "now", "attempt": 0, "request_id": ""}
    rows = [OutboxRow(number, TOPIC, envelope, f"id-{number}", 0) for number in range(3)]
    Broker(Settings.from_env({"REDIS_URL": redis_url})).push(rows)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        assert worker.work()
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)
    assert client.lrange(QUEUE, 0, -1) == [b"id-0", b"id-1", b"id-2"]
    assert len(client.keys("rq:job:*")) == 3
    assert Worker.count(connection=client) == 0


def test_it_refuses_two_queues(redis_url: str) -> None:
    client = connect(redis_url, 1.0)
    for queues in ([], ["beacon-us", "beacon-eu"]):
        with pytest.raises(ValueError, match="exactly one queue"):
            RegionWorker(queues, worker_name("US"), None, client, region="US", claim_batch=1, grace_seconds=1)  # type: ignore[arg-type]
    assert str(os.getpid()) in worker_name("US")
