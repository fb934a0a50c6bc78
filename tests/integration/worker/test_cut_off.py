"""A worker that was cut off from both servers delivers the answers that it holds before it takes messages."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError

from outbox_publisher.relay import publish_batch
from outbox_publisher.sweep import take_back
from runner_queue.broker import Broker
from runner_worker.rq.worker import RegionWorker, connect, worker_name
from tests.cells import CELL
from tests.engine import running
from tests.jobs import catalogue, one, opened, settings_for, submission, submit, until
from tests.provider_server import ProviderServer
from tests.proxy import Proxy
from tests.worker_stage import TOPIC


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as serving:
        yield serving


@pytest.mark.parametrize("cut", ["both servers", "PostgreSQL"])
def test_answers_that_came_during_a_cut_are_stored_before_their_region_is_claimed_again(
    database_url: str, redis_url: str, conn: "psycopg.Connection[Any]", server: ProviderServer, tmp_path: Path, cut: str
) -> None:
    """Where Redis still answers, the worker has taken the message before, and its claim has failed."""
    regions = catalogue(tmp_path, {"US": {"kind": "openai", "base_url": f"{server.url}/US/v1"}})
    server.add_rule(fault="none", delay=60.0, times=2)
    with ExitStack() as stop:
        proxies, urls = [], []
        for url in (database_url, redis_url):
            where = urlsplit(url)
            proxies.append(stop.enter_context(Proxy(str(where.hostname), int(where.port or 0))))
            urls.append(url.replace(f":{where.port}/", f":{proxies[-1].port}/"))
        settings = settings_for(*urls, lease_seconds=1, heartbeat_seconds=0.2, db_write_timeout_ms=500)
        engine = stop.enter_context(running(stop.enter_context(opened(settings, "worker", size=4)), regions))
        client = connect(urls[1], 1.0)
        stop.callback(client.close)
        worker = RegionWorker(
            [CELL.queue(TOPIC)], worker_name("US"), engine.runner, client, region="US", claim_batch=9, grace_seconds=1
        )
        publishing = settings_for(database_url, lease_seconds=1, heartbeat_seconds=0.2)
        near = stop.enter_context(opened(publishing, "publisher"))
        broker = Broker(settings_for(database_url, redis_url))
        stop.callback(broker.close)

        job_id = submit(near, submission(regions=("US",), questions=("q1", "q2"))).job_id
        publish_batch(near, broker)
        while not worker.run_once():
            pass
        server.wait_for_calls(2)
        for proxy in proxies[: 1 if cut == "PostgreSQL" else 2]:
            proxy.refuse()
        # The lease runs out, the region is staged again, and its message waits in Redis.
        until(lambda: take_back(near) or one(conn, "SELECT lease_token IS NULL FROM region_runs"))
        publish_batch(near, broker)
        assert broker.queued_ids(TOPIC)
        if cut == "PostgreSQL":
            with pytest.raises((psycopg.Error, PoolTimeout)):
                worker.run_once()
        server.release()
        until(lambda: engine.runner.free() == 0)
        for proxy in proxies:
            proxy.heal()

        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                with suppress(RedisError, psycopg.Error, PoolTimeout):
                    worker.run_once()

        rounds = threading.Thread(target=work)
        rounds.start()
        stop.callback(rounds.join)
        stop.callback(over.set)
        until(lambda: one(conn, "SELECT status FROM jobs WHERE id = %s", job_id) == "completed")
        assert one(conn, "SELECT attempt FROM region_runs") == 2
        assert len(server.calls) == 2, "each question is asked once"
        until(lambda: engine.runner.free() > 0)
