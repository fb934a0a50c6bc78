"""A loop says that it progresses while it works through many transactions, so that a long turn is no stall."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from outbox_publisher.__main__ import publish
from outbox_publisher.aside import Aside
from outbox_publisher.relay import publish_batch
from outbox_publisher.sweeper import Sweeper
from runner_core.db import Database
from runner_core.loop_health import Loop, LoopHealth
from runner_queue.broker import Broker
from runner_queue.guard import Guard
from runner_queue.inspection import WORKER_COMMANDS
from runner_worker.engine import Message
from runner_worker.rq.worker import RegionWorker, connect, worker_name
from tests.cells import CELL
from tests.jobs import one, opened, settings_for, submission, submit, submit_many

Conn = psycopg.Connection[Any]
REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'integer out of range' USING ERRCODE = '22003'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON outbox FOR EACH ROW WHEN (OLD.job_id = '{bad}') EXECUTE FUNCTION refuse()
"""


class Told(Loop):
    """A loop that keeps what it was told, in order."""

    def __init__(self, name: str, told: list[str]) -> None:
        super().__init__(name)
        self.told = told

    def turned(self, problem: str = "") -> None:
        self.told.append("turned")

    def progressed(self) -> None:
        self.told.append("progressed")


class ToldHealth(LoopHealth):
    """The loops of a process, which all write into one list."""

    def __init__(self) -> None:
        super().__init__(3600.0)
        self.told: list[str] = []

    def add(self, name: str) -> Loop:
        return Told(name, self.told)


@pytest.fixture
def db(database_url: str, redis_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url, redis_url), "publisher") as database:
        yield database


def counted() -> tuple[list[int], Callable[[], None]]:
    calls: list[int] = []
    return calls, lambda: calls.append(1)


def test_a_publishers_wait_and_its_batch_do_not_add_up(db: Database) -> None:
    loop, stopped = Told("relay", []), threading.Event()

    class Listener:
        def wait(self) -> None:
            loop.told.append("waited")
            if loop.told.count("waited") == 2:
                stopped.set()

    listener: Any = Listener()
    publish(db, listener, stopped, loop=loop)
    assert loop.told == ["progressed", "turned", "waited"] * 2


def test_a_batch_that_is_published_row_by_row_progresses_with_each(db: Database, conn: Conn) -> None:
    ids = submit_many(db, 5, regions=("US",))
    conn.execute(REFUSE.format(bad=ids[2]).encode())
    calls, progressed = counted()
    broker = Broker(db.settings)
    assert publish_batch(db, broker, Aside[int]("publish", progressed)) == len(ids)
    broker.close()
    assert one(conn, "SELECT count(*) FROM outbox WHERE processed_at IS NULL") == 1
    assert len(calls) == len(ids)


def test_a_sweep_progresses_with_each_answer_of_redis_and_each_transaction(db: Database) -> None:
    submit(db, submission(regions=("US", "EU", "ASIA")))
    calls, progressed = counted()
    broker = Broker(db.settings)
    Sweeper(db, broker, progressed).run_once()
    broker.close()
    assert len(calls) == 1 + 1 + 3 + 2, "the sentinel, the open queues, each of them, a page of jobs and its end"


def test_a_workers_queue_progresses_with_each_step_of_a_round(db: Database, redis_url: str) -> None:
    health = ToldHealth()

    class Engine:
        broken = False

        def is_late(self) -> bool:
            return False

        def free(self) -> int:
            return 8

        def submit(self, messages: list[Message], done: object, progressed: Callable[[], None]) -> None:
            health.told.append("claimed")
            progressed()

    submit(db, submission(regions=("US",)))
    broker = Broker(db.settings)
    assert publish_batch(db, broker) == 1
    broker.close()
    engine: Any = Engine()
    with connect(redis_url, 1.0) as redis:
        worker = RegionWorker(
            [CELL.queue("beacon-us")],
            worker_name("US"),
            engine,
            redis,
            region="US",
            claim_batch=9,
            grace_seconds=1,
            guard=Guard(redis, "this stack", WORKER_COMMANDS, owns=False),
            health=health,
        )
        assert worker.run_once() == 1
        worker.sign_off()
    assert health.told == ["progressed"] * 3 + ["claimed", "progressed"]
