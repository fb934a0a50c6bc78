"""Round trips of a far worker, counted on the wire: what a lone region run costs at PostgreSQL and at Redis.

Counted in the same way before the claim started calls and before results were read after the commit (4b323f7): 7 to
PostgreSQL (claim, start, COMMIT, record, COMMIT, two notifications) and 2 to Redis, 3 of the 7 in the way of the call.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from outbox_publisher.relay import publish_batch
from runner_core.db import Database
from runner_queue.broker import Broker
from runner_worker.rq import registration
from runner_worker.rq.worker import RegionWorker, connect, worker_name
from tests.cells import CELL
from tests.engine import Engine, running
from tests.jobs import catalogue, one, opened, settings_for, submission, submit, until
from tests.provider_server import ProviderServer
from tests.round_trips import PostgresTrips, RedisTrips
from tests.worker_stage import TOPIC

RUNS = 10
CLAIM = RECORD = TAKE = SETTLE = 1
NOTIFICATIONS = 2  # at most: of the claim and of the record, on a thread of their own


@dataclass
class Far:
    """A worker whose servers are behind proxies that count, and what is near: the API's database and a publisher."""

    postgres: PostgresTrips
    redis: RedisTrips
    worker: RegionWorker
    engine: Engine
    near: Database
    broker: Broker

    def take(self) -> None:
        """Publish a job of one call, and let the worker take its message and claim its region."""
        submit(self.near, submission(regions=("US",)))
        publish_batch(self.near, self.broker)
        while not self.worker.run_once():
            pass

    def wait(self) -> None:
        """Wait until the claimed region run has ended in its worker."""
        until(lambda: not self.engine.runner.busy())


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as serving:
        yield serving


@pytest.fixture
def far(
    database_url: str, redis_url: str, server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Far]:
    monkeypatch.setattr(registration, "PUBLISH_SECONDS", 1e9)  # its one write a second does not depend on the runs
    regions = catalogue(tmp_path, {"US": {"kind": "openai", "base_url": f"{server.url}/US/v1"}})
    with ExitStack() as stop:

        def behind(kind: Callable[[str, int], PostgresTrips | RedisTrips], url: str) -> tuple[str, object]:
            where = urlsplit(url)
            proxy = stop.enter_context(kind(str(where.hostname), int(where.port or 0)))
            return url.replace(f":{where.port}/", f":{proxy.port}/"), proxy

        far_database, postgres = behind(PostgresTrips, database_url)
        far_redis, redis = behind(RedisTrips, redis_url)
        assert isinstance(postgres, PostgresTrips)
        assert isinstance(redis, RedisTrips)
        settings = settings_for(far_database, lease_seconds=600, heartbeat_seconds=300)
        db = stop.enter_context(opened(settings, "worker", size=3))
        with db.statement(), db.statement(), db.statement():
            pass  # the pool is full from here on
        engine = stop.enter_context(running(db, regions))
        client = connect(far_redis, 1.0)
        stop.callback(client.close)
        worker = RegionWorker(
            [CELL.queue(TOPIC)], worker_name("US"), engine.runner, client, region="US", claim_batch=9, grace_seconds=1
        )
        stop.callback(worker.sign_off)
        broker = Broker(settings_for(database_url, redis_url))
        stop.callback(broker.close)
        near = stop.enter_context(opened(settings_for(database_url), "api"))
        found = Far(postgres, redis, worker, engine, near, broker)
        found.take()  # connects to Redis, and registers
        found.wait()
        yield found


def test_a_lone_region_run_makes_four_round_trips_to_postgresql_and_two_to_redis(
    far: Far, conn: "psycopg.Connection[Any]"
) -> None:
    database, redis = far.postgres.trips, far.redis.trips
    for _ in range(RUNS):
        far.take()
        far.wait()
    assert one(conn, "SELECT count(*) FROM jobs WHERE status = 'completed'") == RUNS + 1
    assert far.redis.trips - redis == RUNS * (TAKE + SETTLE)
    assert RUNS * (CLAIM + RECORD) <= far.postgres.trips - database <= (RUNS + 1) * (CLAIM + RECORD + NOTIFICATIONS)


def test_one_round_trip_to_postgresql_is_in_the_way_of_a_call(far: Far, server: ProviderServer) -> None:
    server.add_rule(fault="hang", times=1)
    far.engine.db.notifier.stop()  # what is pending is sent; the notifications of this run are not counted
    database = far.postgres.trips
    far.take()
    server.wait_for_calls(2)
    assert far.postgres.trips - database <= CLAIM + 1  # the notification that a stopped notifier may still send
    server.release()
    far.wait()
