"""Signals and RQ's shutdown: a worker drains, hands messages back, and ends."""

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from rq import Worker
from rq.command import send_command, send_shutdown_command

from runner_core.settings import Settings
from runner_queue.broker import Broker
from runner_queue.push import OutboxRow
from runner_worker.rq.worker import RegionWorker, connect, worker_name
from tests.worker_stage import PATIENCE_SECONDS, QUEUE, TOPIC, Stage


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
def test_a_signal_ends_an_idle_worker_long_before_its_grace(
    number: int, start: Callable[..., Stage], redis_url: str
) -> None:
    stage = start(redis_url, grace=300)
    assert stage.end(number) == 0
    [grace] = stage.client.lrange("drained", 0, -1)  # what is left of it since the signal
    assert 240 < float(grace) <= 300
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


def test_a_signal_that_comes_while_it_takes_puts_the_messages_back_in_order(redis_url: str) -> None:
    class Signalled:
        broken = False

        def is_late(self) -> bool:
            return False

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
