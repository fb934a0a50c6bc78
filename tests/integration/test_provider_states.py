"""A worker's heartbeat tells what its calls wait for: at once when a breaker opens or closes."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_core import heartbeat as heartbeats
from runner_core.db import Database
from runner_core.errors import Conflict
from runner_core.heartbeat import Heartbeat
from runner_worker.providers.state import as_json
from tests.engine import Engine
from tests.jobs import catalogue, one, opened, settings_for, submission, submit, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]
State = dict[str, Any]
Start = Callable[..., Engine]

PROVIDER = "tells-states"  # an id of this file alone: gauges last as long as the process, and other tests set theirs


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        running.add_rule(fault="status", status=500, match={"model": "m2"})
        yield running


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with opened(
        settings_for(database_url, concurrency=16, provider_max_tries=8, heartbeat_seconds=0.5), "worker"
    ) as database:
        yield database


@pytest.fixture
def start(
    db: Database, server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Engine]]:
    """start(breaker_seconds=300, beat=3600): a worker of US whose heartbeat beats once in `beat` seconds by itself."""
    where = {"id": PROVIDER, "kind": "openai", "base_url": f"{server.url}/US/v1", "max_concurrency": 4}
    with contextlib.ExitStack() as stack:

        def begin(breaker_seconds: float = 300.0, beat: float = 3600.0) -> Engine:
            monkeypatch.setattr(heartbeats, "BEAT_SECONDS", beat)
            heart = Heartbeat(db, "worker", "US")
            engine = Engine(db, catalogue(tmp_path, {"US": where}), breaker_seconds=breaker_seconds, changed=heart.wake)
            stack.callback(engine.providers.close)
            stack.callback(engine.runner.close)
            heart.start(lambda: as_json(engine.runner.provider_states.newest))
            stack.callback(heart.stop)
            return engine

        yield begin


def told(conn: Conn, model: str) -> State:
    """The newest state that a heartbeat has written of a model, {} if it told nothing."""
    states: list[State] = one(conn, "SELECT providers FROM processes WHERE kind = 'worker'") or []
    return next((state for state in states if state["model"] == model), {})


def gauge(name: str, model: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"region": "US", "provider": PROVIDER, "model": model})


def jobs(db: Database, count: int, *models: str) -> list[tuple[str, str]]:
    shape: dict[str, Any] = {"regions": ("US",), "models": models, "timeout_seconds": 600.0}
    return [(submit(db, submission(provider_timeout_seconds=300.0, **shape)).job_id, "US") for _ in range(count)]


def test_a_breaker_that_opens_is_told_at_once_with_the_calls_that_wait(db: Database, conn: Conn, start: Start) -> None:
    engine = start()
    until(lambda: one(conn, "SELECT providers FROM processes") == [])
    engine.take(*jobs(db, 12, "m2"))
    state = until(lambda: (found := told(conn, "m2")).get("waiting") and found)
    assert state["open_until"] is not None
    assert (state["provider"], state["width"]) == (PROVIDER, 4)
    assert state["in_flight"] < 4, "the others may be under way when the last failure comes"
    assert state["failures"] >= 5
    assert state["last_code"] == "http_500"
    assert gauge("provider_breaker_open", "m2") == 1
    until(lambda: gauge("provider_calls_waiting", "m2") == 12)


def test_the_neighbour_goes_on_without_a_pause(db: Database, conn: Conn, start: Start, server: ProviderServer) -> None:
    engine = start()
    engine.take(*jobs(db, 12, "m2"))
    until(lambda: told(conn, "m2").get("open_until"))
    assert set(engine.run(*jobs(db, 12, "m1"))) == {"finished"}
    assert one(conn, "SELECT count(*) FROM executions WHERE model_id = 'm1' AND status = 'completed'") == 12
    assert one(conn, "SELECT count(*) FROM executions WHERE model_id = 'm2'") == 0
    assert gauge("provider_breaker_open", "m1") in (None, 0), "a series without a first event, or zero"


def test_a_breaker_that_closes_is_told_at_once(db: Database, conn: Conn, start: Start, server: ProviderServer) -> None:
    server.set_rules([{"fault": "status", "status": 503, "match": {"model": "m2"}, "times": 6}])
    engine = start(breaker_seconds=1.0)
    engine.take(*(regions := jobs(db, 6, "m2")))
    until(lambda: told(conn, "m2").get("open_until"))
    engine.wait(len(regions))
    until(lambda: told(conn, "m2").get("open_until") is None)
    until(lambda: gauge("provider_breaker_open", "m2") == gauge("provider_calls_waiting", "m2") == 0)
    assert one(conn, "SELECT count(*) FROM executions WHERE status = 'completed'") == len(regions)


def test_a_probe_is_told_as_the_one_call_in_flight(
    db: Database, conn: Conn, start: Start, server: ProviderServer
) -> None:
    server.set_rules([{"fault": "status", "status": 500, "times": 8}, {"fault": "hang"}])
    engine = start(breaker_seconds=0.2, beat=0.2)
    engine.take(*jobs(db, 12, "m2"))

    def half_open() -> bool:
        """A call alone in flight may also have begun before the breaker opened, or have come first of twelve."""
        state = told(conn, "m2")
        alone = (state.get("in_flight"), state.get("waiting")) == (1, 11)
        return alone and bool(state["open_until"]) and state["open_until"] <= state["in_flight_since"]

    until(half_open)
    server.set_rules([])
    server.release()
    engine.wait(12)


def test_calls_of_cancelled_jobs_wait_no_more(
    db: Database, conn: Conn, start: Start, database_url: str, server: ProviderServer
) -> None:
    engine = start(beat=0.2)
    bad = jobs(db, 12, "m2")
    engine.take(*bad)
    until(lambda: (state := told(conn, "m2")).get("waiting") and not state["in_flight"])
    assert told(conn, "m2")["in_flight_since"] is None
    with opened(settings_for(database_url), "api") as api:
        for job_id, _ in bad:
            with contextlib.suppress(Conflict):  # some have failed already
                cancel_job(api, job_id, Actor("admin"), "stop")
    engine.wait(12)
    until(lambda: told(conn, "m2").get("waiting") == 0)
    until(lambda: gauge("provider_calls_waiting", "m2") == 0)
    assert told(conn, "m2")["open_until"], "nobody has asked the model since"


def test_calls_that_wait_for_a_place_are_told_by_model(
    db: Database, conn: Conn, start: Start, server: ProviderServer
) -> None:
    server.set_rules([{"fault": "hang"}])
    engine = start(beat=0.2)
    engine.take(*jobs(db, 3, "m1"))
    server.wait_for_calls(3)
    engine.take(*jobs(db, 5, "m2", "m1"))

    def counted(name: str) -> int:
        return sum(told(conn, model).get(name, 0) for model in ("m1", "m2"))

    until(lambda: (counted("in_flight"), counted("waiting")) == (4, 9))
    assert told(conn, "m2")["waiting"] >= 4
    assert told(conn, "m2")["open_until"] is None
    server.set_rules([])
    server.release()
    engine.wait(8)


def test_a_worker_that_stops_takes_its_states_with_it(db: Database, conn: Conn, start: Start) -> None:
    engine = start()
    engine.take(*jobs(db, 6, "m2"))
    until(lambda: told(conn, "m2").get("open_until"))
    with contextlib.ExitStack() as second:
        heart = Heartbeat(db, "worker", "US")
        heart.start(lambda: as_json(engine.runner.provider_states.newest))
        second.callback(heart.stop)
        until(lambda: one(conn, "SELECT count(*) FROM processes WHERE providers -> 0 ->> 'model' = 'm2'") == 2)
    assert one(conn, "SELECT count(*) FROM processes") == 1
