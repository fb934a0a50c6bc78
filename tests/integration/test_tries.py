"""Every request to a provider has a row that is written before it, and whatever becomes of its call the row stays."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbox_publisher.retention import remove_old
from outbox_publisher.sweep import take_back
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_core.db import Database
from runner_core.queries import row
from runner_core.regions import Catalogue
from runner_core.store import answers, tries
from runner_core.store.answers import Started
from runner_core.store.region_runs import Room
from runner_core.store.tries import Try
from runner_worker.engine.leases import claim, release
from tests.engine import Engine, running
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]
Start = Callable[..., Engine]
ADMIN = Actor("admin")


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as serving:
        yield serving


@pytest.fixture
def loopback(server: ProviderServer, tmp_path: Path) -> Catalogue:
    return catalogue(tmp_path, {"US": {"kind": "openai", "base_url": f"{server.url}/US/v1"}})


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url), "api") as database:
        yield database


@pytest.fixture
def start(database_url: str) -> Iterator[Start]:
    with ExitStack() as stop:

        def make(regions: Catalogue, name: str = "worker-1", **env: object) -> Engine:
            db = stop.enter_context(opened(settings_for(database_url, **env), "worker", size=4))
            return stop.enter_context(running(db, regions, name))

        yield make


@pytest.fixture
def job_id(db: Database) -> str:
    return submit(db, submission(regions=("US",))).job_id


def written(conn: Conn) -> list[tuple[int, int]]:
    """The (attempt, number) of every try."""
    return [(r["attempt"], r["number"]) for r in query(conn, "SELECT attempt, number FROM tries ORDER BY 1, 2")]


def shown(db: Database, job_id: str) -> tuple[int, int]:
    """The calls and the lost calls of the job's one question, as its page shows them."""
    with db.transaction(pipeline=False) as conn:
        answer = row(conn, "reads.answers", job_id=job_id, region="US", model_id="m1")
    assert answer is not None
    return answer["calls"], answer["lost_calls"]


def test_a_further_try_has_its_row_before_its_request(
    job_id: str, db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="status", status=503, times=1)
    server.add_rule(fault="hang", times=1)
    engine = start(loopback)
    engine.take((job_id, "US"))
    server.wait_for_calls(2)
    assert written(conn) == [(1, 1), (1, 2)]
    assert shown(db, job_id) == (0, 0), "what is under way is not lost"
    server.release()
    engine.wait(1)
    assert len(server.calls) == len(written(conn))
    assert shown(db, job_id) == (len(server.calls), 0)


def test_a_failed_try_and_one_that_a_crash_swallowed_are_two_calls(
    job_id: str, db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="status", status=503, times=1)
    server.add_rule(fault="hang", times=1)
    first = start(loopback, "first")
    first.take((job_id, "US"))
    server.wait_for_calls(2)
    first.runner.close()  # nothing of it is written any more
    conn.execute(b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s'")
    assert take_back(db) == 1
    assert start(loopback, "second").run((job_id, "US")) == ["finished"]
    assert len(server.calls) == 3
    assert written(conn) == [(1, 1), (1, 2), (2, 1)]
    assert shown(db, job_id) == (1, 2)


def test_a_retry_keeps_the_tries_of_the_answer_that_it_deletes(
    job_id: str, db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="status", status=403, times=1)
    engine = start(loopback)
    assert engine.run((job_id, "US")) == ["finished"]
    retry_job(db, job_id, Wanted(), ADMIN, "again")
    assert engine.run((job_id, "US")) == ["finished"]
    assert one(conn, "SELECT status FROM answers") == "ok"
    assert written(conn) == [(1, 1), (2, 1)]
    assert shown(db, job_id) == (1, 0), "the earlier call belonged to the answer that was deleted"


def test_a_call_in_flight_at_a_cancellation_is_counted(
    job_id: str, db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="hang")
    engine = start(loopback, heartbeat_seconds=1)
    engine.take((job_id, "US"))
    server.wait_for_calls(1)
    cancel_job(db, job_id, ADMIN, "stop")
    assert [outcome for _, _, outcome in engine.wait(1)] == ["fenced"]
    engine.runner.drain(0)
    assert written(conn) == [(1, 1)]
    assert shown(db, job_id) == (0, 1)


def test_a_try_that_found_no_connection_was_no_call(
    job_id: str, db: Database, conn: Conn, server: ProviderServer, tmp_path: Path, start: Start
) -> None:
    server.close()
    nobody = catalogue(tmp_path, {"US": {"kind": "openai", "base_url": f"{server.url}/US/v1"}})
    assert start(nobody, provider_max_tries=2).run((job_id, "US")) == ["finished"]
    assert one(conn, "SELECT error ->> 'code' FROM answers") == "connect_failed"
    assert written(conn) == []
    assert shown(db, job_id) == (0, 0)


def test_a_call_that_was_never_sent_is_withdrawn_when_its_worker_stops(
    job_id: str, db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    """A claim that comes when the worker is about to stop is handed back with the try that it has written."""
    server.add_rule(fault="hang", times=1)
    engine = start(loopback)
    engine.take((job_id, "US"))
    server.wait_for_calls(1)
    stopping = threading.Thread(target=engine.runner.drain, args=(30.0,))
    stopping.start()
    until(lambda: engine.runner.free() == 0 and engine.runner.busy() == 1)
    late = submit(db, submission(regions=("US",))).job_id
    engine.take((late, "US"))
    assert engine.wait(1) == [(late, "US", "released")]
    assert query(conn, "SELECT job_id FROM tries") == [{"job_id": job_id}]
    server.release()
    stopping.join()
    assert len(server.calls) == one(conn, "SELECT count(*) FROM tries WHERE job_id = %s", job_id)


def test_a_worker_that_lost_its_lease_asks_no_further(
    job_id: str, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="hang", times=1)
    engine = start(loopback)
    engine.take((job_id, "US"))
    server.wait_for_calls(1)
    conn.execute(b"UPDATE region_runs SET lease_token = gen_random_uuid()")
    server.release()  # the connection ends without an answer, which is worth another try
    assert [outcome for _, _, outcome in engine.wait(1)] == ["fenced"]
    assert len(server.calls) == 1
    assert written(conn) == [(1, 1)]


def test_a_try_whose_commit_was_not_seen_is_begun_again_as_one_row(job_id: str, db: Database, conn: Conn) -> None:
    [claimed], _, _ = claim(db, [(job_id, "US")], "w", [Room("US", "m1", "p-us", 8)], places=8)
    second = Try(job_id, "US", "m1", "q1", 1, 1, 2)
    with db.statement() as own:
        assert tries.begin(own, second, claimed["token"], "p-us")
    with db.statement() as own:
        assert tries.begin(own, second, claimed["token"], "p-us")
        assert not tries.begin(own, second, "00000000-0000-0000-0000-000000000000", "p-us")
    assert written(conn) == [(1, 1), (1, 2)]


def test_a_release_that_is_repeated_withdraws_no_try_of_the_next_worker(
    job_id: str, db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    """A region that is handed back before its first call is claimed with the same attempt once more."""
    server.add_rule(fault="hang")
    engine = start(loopback)
    engine.take((job_id, "US"))
    server.wait_for_calls(1)
    held = engine.runner.snapshot().held
    held[0].begun = False
    release(db, held, held[0].plan)
    assert written(conn) == []

    [claimed], _, _ = claim(db, [(job_id, "US")], "next")
    with db.statement() as own:
        assert answers.start(own, [Started(job_id, "US", "m1", "q1", 1, "p-us", claimed["token"])]).fetchall()
    assert (claimed["attempt"], written(conn)) == (1, [(1, 1)])
    release(db, held, held[0].plan)
    assert written(conn) == [(1, 1)]


def test_tries_go_with_their_job(job_id: str, conn: Conn, database_url: str, loopback: Catalogue, start: Start) -> None:
    start(loopback).run((job_id, "US"))
    assert written(conn)
    conn.execute(b"UPDATE jobs SET completed_at = completed_at - interval '9 days'")
    conn.execute(b"UPDATE outbox SET processed_at = clock_timestamp() - interval '9 days'")
    with opened(settings_for(database_url, job_retention_days=8), "publisher") as publisher:
        until(lambda: remove_old(publisher) or not one(conn, "SELECT count(*) FROM jobs"))
    assert written(conn) == []
