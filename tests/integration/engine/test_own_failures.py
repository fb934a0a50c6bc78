"""Failures of the worker's own: a row that can't be written, a bug, an engine that broke."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from outbox_publisher.sweep import check_page
from runner_core.db import Database
from runner_core.regions import Catalogue
from runner_core.store.executions import Ended
from runner_worker.engine import EngineBroken
from runner_worker.engine.writer import Writer
from tests.engine import Start, running
from tests.jobs import catalogue, one, opened, settings_for, submission, submit, submit_many, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]


def test_a_result_that_cannot_be_written_fails_alone_in_its_batch(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    """A check of the database refuses one job's results: its neighbours of the same transaction are written."""
    conn.execute(b"ALTER TABLE executions ADD CHECK (job_id <> 'poison') NOT VALID")
    server.add_rule(fault="none", delay=3600.0)
    ids = ["poison", *submit_many(db, 5, regions=("US",))]
    submit(db, submission("poison", regions=("US",)))
    engine = start(loopback)
    engine.take(*((job_id, "US") for job_id in ids))
    server.wait_for_calls(6)
    server.release()
    ended_as = {job_id: outcome for job_id, _, outcome in engine.wait(6)}
    assert ended_as == {job_id: "error" if job_id == "poison" else "finished" for job_id in ids}
    assert one(conn, "SELECT count(*) FROM executions") == 5
    assert one(conn, "SELECT attempt FROM region_runs WHERE job_id = 'poison'") == 1
    assert one(conn, "SELECT lease_token FROM region_runs WHERE job_id = 'poison'") is None
    assert engine.runner.free() == engine.settings.worker.concurrency
    assert engine.runner.snapshot().in_flight == 0


def test_a_run_whose_rows_cannot_be_built_fails_alone(db: Database, tmp_path: Path) -> None:
    """A job without questions, which no API accepts."""
    odd = submit(db, submission(questions=(), regions=("US",))).job_id
    job_id = submit(db, submission(regions=("US",))).job_id
    with running(db, catalogue(tmp_path)) as engine:
        assert engine.run((odd, "US"), (job_id, "US")) == ["error", "finished"]
        assert not engine.runner.broken


def test_a_run_that_cannot_even_begin_uses_its_attempts_up(
    db: Database, conn: Conn, simulated: Catalogue, start: Start
) -> None:
    """What fails before its first call would otherwise be handed back and claimed again for ever."""
    conn.execute(b"ALTER TABLE answers ADD CHECK (job_id <> 'poison') NOT VALID")
    submit(db, submission("poison", regions=("US",)))
    engine = start(simulated)
    assert [engine.run(("poison", "US"))[0] for _ in range(4)] == ["error", "error", "error", "not_claimed"]
    assert one(conn, "SELECT attempt FROM region_runs") == 3
    assert engine.runner.snapshot().in_flight == 0
    check_page(db, "", one(conn, "SELECT clock_timestamp()"), lambda topic, dispatch_id: True)
    assert one(conn, "SELECT error ->> 'code' FROM executions") == "worker_crashed"


def test_a_bug_in_one_unit_does_not_end_the_worker(
    db: Database, conn: Conn, simulated: Catalogue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that is not the database's: the unit's run is released, the others are written."""
    bad, good = submit_many(db, 2, regions=("US",))
    engine = start(simulated)
    ended_unit = engine.runner.row_writer.execution_rows.ended

    def broken(unit: Any) -> Ended:
        if unit.run.job_id == bad:
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        return ended_unit(unit)

    monkeypatch.setattr(engine.runner.row_writer.execution_rows, "ended", broken)
    assert engine.run((bad, "US"), (good, "US")) == ["error", "finished"]
    monkeypatch.undo()
    assert engine.run((bad, "US")) == ["finished"]


def test_a_provider_that_breaks_gives_its_place_back(
    db: Database, conn: Conn, simulated: Catalogue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(simulated)

    def broken(*_: object, **__: object) -> None:
        raise LookupError("a mistake of ours")

    monkeypatch.setattr(engine.providers, "ask", broken)
    engine.run((job_id, "US"))
    until(lambda: engine.runner.snapshot().in_flight == 0)


def test_a_claim_without_a_connection_raises_and_leaves_its_message_to_the_queue(
    db: Database, conn: Conn, simulated: Catalogue, database_url: str
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    with (
        opened(settings_for(database_url, db_write_timeout_ms=100), "worker", size=1) as small,
        running(small, simulated) as engine,
    ):
        with small.pool.connection(), pytest.raises(PoolTimeout):
            engine.take((job_id, "US"))
        assert engine.outcomes == []
        assert one(conn, "SELECT count(*) FROM region_runs") == 0
        assert engine.run((job_id, "US")) == ["finished"]


def test_an_engine_that_broke_takes_nothing_more(
    db: Database, conn: Conn, simulated: Catalogue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would claim region after region and run none of them."""
    engine = start(simulated)
    monkeypatch.setattr(Writer, "due", lambda *_: 1 / 0)
    job_id = submit(db, submission(regions=("US",))).job_id
    assert engine.run((job_id, "US")) == ["error"]
    assert engine.runner.snapshot().broken
    assert one(conn, "SELECT lease_token FROM region_runs") is None, "it is handed back all the same"
    assert engine.runner.free() == 0
    with pytest.raises(EngineBroken):
        engine.take((job_id, "US"))
