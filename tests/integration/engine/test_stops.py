"""A worker that stops: calls end within the grace, and regions are handed back once."""

import threading
from pathlib import Path
from typing import Any

import psycopg

from runner_core.db import Database
from runner_core.regions import Catalogue
from runner_worker.engine.leases import release
from tests.engine import Start
from tests.jobs import catalogue, one, query, submission, submit, submit_many, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]


def test_a_stopping_worker_hands_back_what_has_not_begun_without_burning_the_attempt(
    db: Database, conn: Conn, tmp_path: Path, start: Start
) -> None:
    slow = catalogue(tmp_path, {"US": {"options": {"hang": True}, "max_concurrency": 1}})
    began, waits = submit_many(db, 2, regions=("US",))
    engine = start(slow)
    engine.take((began, "US"))
    until(lambda: one(conn, "SELECT count(*) FROM answers") == 1)
    engine.take((waits, "US"))
    until(lambda: engine.runner.busy() == 2)
    stopping = threading.Thread(target=engine.runner.drain, args=(300,))
    stopping.start()
    assert engine.wait(1) == [(waits, "US", "released")]
    assert one(conn, "SELECT attempt FROM region_runs WHERE job_id = %s", waits) == 0
    assert one(conn, "SELECT count(*) FROM outbox WHERE job_id = %s", waits) == 2
    events = query(conn, "SELECT type FROM job_events WHERE job_id = %s ORDER BY seq", waits)
    assert [e["type"] for e in events] == ["submitted", "region_claimed", "region_released", "region_staged"]
    engine.runner.close()
    stopping.join()


def test_a_stopping_worker_hands_back_what_runs_at_the_end_of_the_grace(
    db: Database, conn: Conn, simulated: Catalogue, start: Start
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(catalogue_that_hangs(simulated))
    engine.take((job_id, "US"))
    until(lambda: one(conn, "SELECT count(*) FROM answers") == 1)
    engine.runner.drain(0.3)
    assert engine.wait(1) == [(job_id, "US", "released")]
    assert one(conn, "SELECT attempt FROM region_runs") == 1
    assert one(conn, "SELECT count(*) FROM region_runs WHERE lease_token IS NOT NULL") == 0


def test_a_stopping_worker_lets_running_calls_end_within_the_grace(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="none", delay=3600.0)
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(loopback)
    engine.take((job_id, "US"))
    server.wait_for_calls(1)
    stopping = threading.Thread(target=engine.runner.drain, args=(30,))
    stopping.start()
    until(lambda: engine.runner.free() == 0)
    server.release()
    stopping.join()
    assert engine.wait(1) == [(job_id, "US", "finished")]


def test_a_region_claimed_while_the_worker_stops_is_handed_back_at_once(
    db: Database, conn: Conn, simulated: Catalogue, start: Start
) -> None:
    runs, late = submit_many(db, 2, regions=("US",))
    engine = start(catalogue_that_hangs(simulated))
    engine.take((runs, "US"))
    until(lambda: engine.runner.snapshot().in_flight == 1)
    stopping = threading.Thread(target=engine.runner.drain, args=(30,))
    stopping.start()
    until(lambda: engine.runner.free() == 0)
    engine.take((late, "US"))  # the signal came while the claim was on its way
    assert engine.wait(1) == [(late, "US", "released")]
    assert one(conn, "SELECT attempt FROM region_runs WHERE job_id = %s", late) == 0
    engine.runner.close()
    stopping.join()


def test_a_release_that_comes_twice_stages_once(db: Database, conn: Conn, simulated: Catalogue, start: Start) -> None:
    """As after a reply that was lost: the verb comes again and finds nothing to hand back."""
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(catalogue_that_hangs(simulated))
    engine.take((job_id, "US"))
    held = until(lambda: engine.runner.snapshot().held)
    for _ in range(2):
        release(db, held)
    assert one(conn, "SELECT count(*) FROM outbox") == 2


def catalogue_that_hangs(regions: Catalogue) -> Catalogue:
    for provider in regions.providers:
        provider.options["hang"] = True
    return regions
