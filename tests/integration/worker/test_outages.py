"""A worker outlives a Redis that is away, hangs up, is full or loses messages, and claims that fail."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from rq.command import send_shutdown_command

from runner_cli.embedded import EmbeddedValkey
from runner_core.settings import Settings
from runner_queue.broker import Broker
from runner_queue.push import OutboxRow
from runner_worker.engine import Message
from runner_worker.rq.worker import RegionWorker, connect, worker_name
from tests.proxy import Proxy
from tests.worker_stage import PATIENCE_SECONDS, QUEUE, TOPIC, Stage


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


def is_lost(stage: Stage, publisher: Broker, proxy: Proxy, name: str) -> bool:
    """Whether Redis handed a message out on a connection whose answers are lost, and publishers were told. A message
    whose answer came through after all, or that nobody asked for in time, is taken when all is well again."""
    envelope = {"id": name, "enqueued_at": "now", "attempt": 0, "request_id": "r"}
    wait_for_a_fresh_question(publisher.redis)
    proxy.swallow()
    publisher.push([OutboxRow(1, TOPIC, envelope, uuid4().hex, 0)])
    deadline = time.monotonic() + 2.0
    while publisher.queued_ids(TOPIC) and time.monotonic() < deadline:
        pass
    proxy.heal()
    stage.until(lambda: publisher.sentinel_changed() or name in stage.ran())  # a lost message never runs
    stage.push(f"after-{name}")
    stage.until(lambda: f"after-{name}" in stage.ran())
    publisher.sentinel_changed()  # if it tells of this message only now
    return name not in stage.ran()


def test_a_message_that_was_lost_on_its_way_makes_the_publishers_look(
    start: Callable[..., Stage], own_valkey: EmbeddedValkey
) -> None:
    publisher = Broker(Settings.from_env({"REDIS_URL": own_valkey.url}))
    with Proxy(own_valkey.host, own_valkey.port) as proxy:
        stage = start(own_valkey.url.replace(f":{own_valkey.port}/", f":{proxy.port}/"))
        publisher.sentinel_changed()
        assert not publisher.sentinel_changed()
        assert any(is_lost(stage, publisher, proxy, name) for name in ("a1", "a2", "a3", "a4", "a5"))
    publisher.close()


def test_it_waits_for_a_redis_that_is_not_there_yet_and_still_sees_a_signal(
    start: Callable[..., Stage], own_valkey: EmbeddedValkey
) -> None:
    own_valkey.kill()
    stage = start(own_valkey.url, wait=False)
    stage.until(lambda: "can't take messages" in stage.log.read_text())
    assert stage.end() == 0


@pytest.fixture
def rounds(own_valkey: EmbeddedValkey) -> Iterator[Callable[[], tuple[RegionWorker, list[str]]]]:
    """A worker of this process, whose rounds the test runs itself, and what its engine was given."""
    workers = []

    def make() -> tuple[RegionWorker, list[str]]:
        given: list[str] = []

        class Engine:
            broken = is_down = has_answers = False

            def is_late(self) -> bool:
                return self.has_answers

            def free(self) -> int:
                return 8

            def submit(self, messages: list[Message], *_: object) -> None:
                if self.is_down:
                    raise psycopg.OperationalError
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


def test_no_message_is_taken_while_answers_wait_for_the_database(
    rounds: Callable[[], tuple[RegionWorker, list[str]]], own_valkey: EmbeddedValkey
) -> None:
    """Another worker of the region may be able to claim it."""
    worker, given = rounds()
    engine: Any = worker.runner
    push(own_valkey, "a")
    engine.has_answers = True
    assert worker.run_once() == 0
    assert len(Broker(Settings.from_env({"REDIS_URL": own_valkey.url})).queued_ids(TOPIC)) == 1
    engine.has_answers = False
    assert worker.run_once() == 1
    assert given == ["a"]


def test_no_message_that_was_kept_is_claimed_while_answers_wait_for_the_database(
    rounds: Callable[[], tuple[RegionWorker, list[str]]], own_valkey: EmbeddedValkey
) -> None:
    """It may ask for the region whose answers the worker holds: its calls would be made and paid again."""
    worker, given = rounds()
    engine: Any = worker.runner
    push(own_valkey, "a")
    engine.is_down = True
    with pytest.raises(psycopg.OperationalError):
        worker.run_once()
    engine.is_down, engine.has_answers = False, True
    assert worker.run_once() == 0
    assert given == []
    engine.has_answers = False
    assert worker.run_once() == 1
    assert given == ["a"]
