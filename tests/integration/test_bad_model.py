"""A worker whose provider has one model that always fails: jobs of its other models go through meanwhile."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_core.db import Database
from runner_core.errors import Conflict
from tests.engine import Engine
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        running.add_rule(fault="status", status=500, match={"model": "m2"})
        yield running


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with opened(
        settings_for(database_url, concurrency=4, provider_max_tries=2, heartbeat_seconds=0.5), "worker"
    ) as database:
        yield database


@pytest.fixture
def engine(db: Database, server: ProviderServer, tmp_path: Path) -> Iterator[Engine]:
    """Four threads, and a provider that takes as many calls."""
    where = {"kind": "openai", "base_url": f"{server.url}/US/v1", "max_concurrency": 4}
    made = Engine(db, catalogue(tmp_path, {"US": where}))
    yield made
    made.runner.close()
    made.providers.close()


def jobs(db: Database, count: int, *models: str, seconds: float = 300.0) -> list[tuple[str, str]]:
    shape: dict[str, Any] = {"regions": ("US",), "models": models, "timeout_seconds": 600.0}
    return [(submit(db, submission(provider_timeout_seconds=seconds, **shape)).job_id, "US") for _ in range(count)]


def test_jobs_of_a_good_model_end_while_calls_of_a_bad_one_wait_for_its_breaker(
    db: Database, conn: Conn, engine: Engine, server: ProviderServer
) -> None:
    """More of the bad ones than there are threads and places, and in front."""
    engine.take(*jobs(db, 12, "m2"))
    server.wait_for_calls(5)
    until(lambda: engine.runner.free() > 0)
    good = jobs(db, 12, "m1")
    assert set(engine.run(*good)) == {"finished"}
    assert one(conn, "SELECT count(*) FROM executions WHERE model_id = 'm1' AND status = 'completed'") == 12
    assert len([call for call in server.calls if call.body["model"] == "m2"]) < 12


def test_of_one_job_the_good_models_answers_are_stored_at_once(
    db: Database, conn: Conn, engine: Engine, server: ProviderServer
) -> None:
    engine.take(*jobs(db, 6, "m2"))
    server.wait_for_calls(5)
    engine.take(*jobs(db, 3, "m1", "m2"))
    done = "SELECT count(*) FROM executions WHERE model_id = 'm1'"
    until(lambda: one(conn, done) == 3)


def test_calls_of_jobs_that_were_cancelled_leave_no_room_behind(
    db: Database, database_url: str, engine: Engine, server: ProviderServer
) -> None:
    """Their places were given back when they ended: counted once more, the worker would claim more than it can make."""
    bad = jobs(db, 12, "m2")
    engine.take(*bad)
    server.wait_for_calls(5)
    until(lambda: engine.runner.free() > 0)
    with opened(settings_for(database_url), "api") as api:
        for job_id, _ in bad:
            with contextlib.suppress(Conflict):  # some have failed already
                cancel_job(api, job_id, Actor("admin"), "stop")
    engine.wait(12)
    assert engine.runner.busy() == 0
    assert engine.runner.free() <= 4


def test_calls_that_were_held_back_fail_when_their_time_is_over(
    db: Database, conn: Conn, engine: Engine, server: ProviderServer
) -> None:
    """Within the provider's time, and not only at the region's deadline."""
    regions = jobs(db, 12, "m2", seconds=3.0)
    assert set(engine.run(*regions)) == {"finished"}
    codes = {row["code"] for row in query(conn, "SELECT error ->> 'code' AS code FROM executions")}
    assert "provider_unavailable" in codes
    assert codes <= {"http_500", "provider_unavailable", "timeout"}
    assert one(conn, "SELECT count(*) FROM executions WHERE status = 'failed'") == 12


def test_calls_that_were_held_back_are_made_when_the_model_is_well_again(
    db: Database, conn: Conn, server: ProviderServer, tmp_path: Path
) -> None:
    where = {"kind": "openai", "base_url": f"{server.url}/US/v1", "max_concurrency": 4}
    server.set_rules([{"fault": "status", "status": 500, "match": {"model": "m2"}, "times": 6}])
    made = Engine(db, catalogue(tmp_path, {"US": where}), breaker_seconds=0.3)
    regions = jobs(db, 12, "m2")
    assert set(made.run(*regions)) == {"finished"}
    assert one(conn, "SELECT count(*) FROM executions WHERE status = 'completed'") >= 8
    made.runner.close()
    made.providers.close()
