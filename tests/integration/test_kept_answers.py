"""Paid answers that can't be stored at the moment: kept until they can be, and told of when they never will be."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from outbox_publisher.sweep import take_back
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_core.db import Database
from runner_core.regions import Catalogue
from tests.engine import Engine, running
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, submit_many, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]
Start = Callable[..., Engine]


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    """A provider whose answers wait until they are let go."""
    with ProviderServer() as serving:
        serving.add_rule(fault="none", delay=3600.0)
        yield serving


@pytest.fixture
def regions(server: ProviderServer, tmp_path: Path) -> Catalogue:
    return catalogue(tmp_path, {"US": {"kind": "openai", "base_url": f"{server.url}/US/v1", "max_concurrency": 64}})


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url), "api") as database:
        yield database


@pytest.fixture
def start(database_url: str, regions: Catalogue) -> Iterator[Start]:
    """Starts engines, each with its own connections: start("name", lease_seconds=1)."""
    with ExitStack() as stop:

        def make(name: str = "worker-1", **env: object) -> Engine:
            settings = settings_for(database_url, **{"provider_max_tries": 1, **env})
            return stop.enter_context(running(stop.enter_context(opened(settings, "worker", size=4)), regions, name))

        yield make


@pytest.fixture
def refuse(conn: Conn) -> Callable[..., None]:
    """refuse("53100", "job-1") lets no answer of these jobs (of any, without one) be stored; refuse("") heals."""
    conn.execute(
        b"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        b" $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = TG_ARGV[0]; END $$"
    )

    def make(state: str, *job_ids: str) -> None:
        conn.execute(b"DROP TRIGGER IF EXISTS fail ON answers")
        if state:
            condition = f"WHEN (NEW.job_id IN ({', '.join(map(repr, job_ids))}))" if job_ids else ""
            trigger = f"CREATE TRIGGER fail BEFORE UPDATE ON answers FOR EACH ROW {condition}"
            conn.execute(f"{trigger} EXECUTE FUNCTION fail('{state}')".encode())

    return make


def discarded() -> dict[str, float]:
    found = {}
    for metric in REGISTRY.collect():
        for sample in metric.samples:
            if sample.name == "answers_discarded_total":
                found[sample.labels["reason"]] = sample.value
    return found


@pytest.fixture
def discards() -> Callable[[], dict[str, float]]:
    """The discarded answers since the test began, by reason."""
    before = discarded()
    return lambda: {reason: n - before[reason] for reason, n in discarded().items() if n > before[reason]}


def lines(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in r.getMessage() for r in caplog.records)


@pytest.mark.parametrize("state", ["53100", "25006", "58030", "57P04", "57P05", "54000", "55P03", "42501", "XX000"])
def test_answers_wait_until_the_server_takes_them_and_nothing_is_asked_twice(
    db: Database,
    conn: Conn,
    start: Start,
    server: ProviderServer,
    refuse: Callable[..., None],
    discards: Callable[[], dict[str, float]],
    caplog: pytest.LogCaptureFixture,
    state: str,
) -> None:
    ids = submit_many(db, 3, regions=("US",))
    engine = start()
    engine.take(*((job_id, "US") for job_id in ids))
    server.wait_for_calls(3)
    refuse(state)
    server.release()
    until(lambda: lines(caplog, "wait to be written") >= 2, 60)
    assert engine.runner.busy() == 3, "their places stay taken"
    refuse("")
    assert sorted(engine.wait(3, 60)) == sorted((job_id, "US", "finished") for job_id in ids)
    assert query(conn, "SELECT DISTINCT status, attempt FROM executions") == [{"status": "completed", "attempt": 1}]
    assert len(server.calls) == 3
    assert discards() == {}


def test_a_run_that_waits_keeps_no_other_from_being_written(
    db: Database, conn: Conn, start: Start, server: ProviderServer, refuse: Callable[..., None]
) -> None:
    """A statement's trouble with one row: the others are stored meanwhile, and the one when it has passed."""
    held, *others = submit_many(db, 4, regions=("US",))
    engine = start()
    engine.take(*((job_id, "US") for job_id in (held, *others)))
    server.wait_for_calls(4)
    refuse("57014", held)
    server.release()
    assert {job_id for job_id, _, _ in engine.wait(3, 60)} == set(others)
    assert engine.runner.busy() == 1, "its place stays taken"
    later = submit(db, submission(regions=("US",))).job_id
    engine.take((later, "US"))
    server.wait_for_calls(5)
    server.release()
    assert engine.wait(4, 60)[-1] == (later, "US", "finished")
    refuse("")
    assert engine.wait(5, 60)[-1] == (held, "US", "finished")
    assert one(conn, "SELECT attempt FROM executions WHERE job_id = %s", held) == 1


def test_a_value_that_no_database_takes_is_given_up_and_its_answer_is_counted(
    db: Database,
    start: Start,
    server: ProviderServer,
    refuse: Callable[..., None],
    discards: Callable[[], dict[str, float]],
) -> None:
    poisoned, good = submit_many(db, 2, regions=("US",))
    engine = start()
    engine.take((poisoned, "US"), (good, "US"))
    server.wait_for_calls(2)
    refuse("22P05", poisoned)
    server.release()
    assert sorted(engine.wait(2)) == sorted([(poisoned, "US", "error"), (good, "US", "finished")])
    assert discards() == {"unwritable": 1}


def test_an_answer_is_kept_beyond_its_lease_and_saves_the_next_worker_the_call(
    db: Database, conn: Conn, start: Start, server: ProviderServer, refuse: Callable[..., None]
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(lease_seconds=600, heartbeat_seconds=300)
    engine.take((job_id, "US"))
    server.wait_for_calls(1)
    refuse("53100")
    server.release()
    conn.execute(b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s'")
    until(lambda: take_back(db))  # it leaves a locked run to its next pass
    refuse("")
    until(lambda: one(conn, "SELECT status FROM answers") == "ok")
    assert engine.wait(1) == [(job_id, "US", "fenced")]
    assert start("heir").run((job_id, "US")) == ["finished"]
    assert len(server.calls) == 1


def test_an_answer_whose_region_was_closed_meanwhile_is_counted_and_named(
    db: Database,
    conn: Conn,
    start: Start,
    server: ProviderServer,
    refuse: Callable[..., None],
    discards: Callable[[], dict[str, float]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(heartbeat_seconds=300, lease_seconds=600)
    engine.take((job_id, "US"))
    server.wait_for_calls(1)
    refuse("53100")
    server.release()
    until(lambda: lines(caplog, "wait to be written"), 60)
    cancel_job(db, job_id, Actor("admin"), "a")
    refuse("")
    assert engine.wait(1, 60) == [(job_id, "US", "fenced")]
    assert discards() == {"region_closed": 1}
    assert lines(caplog, f"not stored job_id={job_id} region=US model_id=m1 question_id=q1 run_no=1") == 1
    assert one(conn, "SELECT status FROM executions") == "cancelled", "no result is changed"


def test_what_cannot_be_stored_when_the_grace_ends_is_counted_and_named(
    db: Database,
    start: Start,
    server: ProviderServer,
    refuse: Callable[..., None],
    discards: Callable[[], dict[str, float]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    ids = submit_many(db, 2, regions=("US",))
    engine = start()
    engine.take(*((job_id, "US") for job_id in ids))
    server.wait_for_calls(2)
    refuse("53100")
    server.release()
    until(lambda: lines(caplog, "wait to be written"), 60)
    stopping = threading.Thread(target=engine.runner.drain, args=(0.1,))
    stopping.start()
    stopping.join()
    engine.runner.close()  # as the process does once more
    assert discards() == {"stopped": 2}
    for job_id in ids:
        assert lines(caplog, f"not stored job_id={job_id} region=US") == 1
    assert "broke" not in caplog.text
