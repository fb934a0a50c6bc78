"""An answer that comes when another worker holds the region: the result never contradicts what is stored.

The checked model found both (docs/model.md, `left_out` and `after_record`).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbox_publisher.sweep import take_back
from runner_core.db import Database
from runner_core.regions import Catalogue
from tests.engine import Engine, running
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]
Start = Callable[..., Engine]


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as serving:
        yield serving


@pytest.fixture
def busy() -> Iterator[ProviderServer]:
    """The heir's provider, which does not answer."""
    with ProviderServer() as serving:
        serving.add_rule(fault="hang")
        yield serving


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url), "api") as database:
        yield database


@pytest.fixture
def start(database_url: str) -> Iterator[Start]:
    """Starts engines, each with its own connections."""
    with ExitStack() as stop:

        def make(regions: Catalogue, name: str, **env: object) -> Engine:
            settings = settings_for(database_url, **{"provider_max_tries": 1, **env})
            return stop.enter_context(running(stop.enter_context(opened(settings, "worker", size=4)), regions, name))

        yield make


@pytest.fixture
def regions(tmp_path: Path) -> Callable[..., Catalogue]:
    """Makes the regions as one worker knows them, with a loopback server as the provider of US."""

    def make(server: ProviderServer, models: str = "m1 m2", **provider: Any) -> Catalogue:
        name = f"regions-{len(list(tmp_path.iterdir()))}"
        (tmp_path / name).mkdir()
        us = {"kind": "openai", "base_url": f"{server.url}/v1", **provider}
        return catalogue(tmp_path / name, {"US": us}, models)

    return make


def lose_the_lease(db: Database, conn: Conn) -> None:
    """What the sweeper does about a worker that was silent for longer than its lease."""
    conn.execute(b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s'")
    assert take_back(db) == 1


def test_a_unit_is_not_recorded_without_a_usable_answer_that_came_late(
    db: Database,
    conn: Conn,
    server: ProviderServer,
    busy: ProviderServer,
    start: Start,
    regions: Callable[..., Catalogue],
) -> None:
    """The heir's provider is busy until the deadline, and the answer of the worker before it comes meanwhile."""
    server.add_rule(fault="none", delay=3600.0, text="late")
    job_id = submit(db, submission(regions=("US",), timeout_seconds=3.0)).job_id
    zombie = start(regions(server), "zombie", lease_seconds=600, heartbeat_seconds=300)
    zombie.take((job_id, "US"))
    server.wait_for_calls(1)
    lose_the_lease(db, conn)
    heir = start(regions(busy, max_concurrency=1), "heir", lease_seconds=600, heartbeat_seconds=300)
    heir.take((submit(db, submission(regions=("US",))).job_id, "US"))
    busy.wait_for_calls(1)
    heir.take((job_id, "US"))
    server.release()
    until(lambda: one(conn, "SELECT status FROM answers WHERE job_id = %s", job_id) == "ok")
    assert heir.wait(1) == [(job_id, "US", "released")], "it gives the run back, for one that knows the answer"
    assert start(regions(server), "next").run((job_id, "US")) == ["finished"]
    [result] = query(conn, "SELECT status, output ->> 'response' AS text FROM executions WHERE job_id = %s", job_id)
    assert result == {"status": "completed", "text": "late"}
    assert len(server.calls) == 1, "nobody was asked again"
    assert one(conn, "SELECT attempt FROM executions WHERE job_id = %s", job_id) == 2, "the heir has asked nothing"


def test_a_late_answer_is_not_stored_beside_a_result_without_it(
    db: Database,
    conn: Conn,
    server: ProviderServer,
    busy: ProviderServer,
    start: Start,
    regions: Callable[..., Catalogue],
) -> None:
    """The heir has no provider for one of the models: that unit is recorded while the region stays open."""
    server.add_rule(fault="none", delay=3600.0, match={"model": "m2"})
    server.add_rule(fault="hang", match={"model": "m1"})
    job_id = submit(db, submission(regions=("US",), models=("m1", "m2"))).job_id
    zombie = start(regions(server), "zombie", lease_seconds=600, heartbeat_seconds=300)
    zombie.take((job_id, "US"))
    server.wait_for_calls(2)
    lose_the_lease(db, conn)
    start(regions(busy, models="m1"), "heir").take((job_id, "US"))
    until(lambda: one(conn, "SELECT status FROM executions WHERE model_id = 'm2'") == "failed")
    server.release()
    assert zombie.wait(1) == [(job_id, "US", "fenced")]
    assert one(conn, "SELECT status FROM answers WHERE model_id = 'm2'") == "started"
