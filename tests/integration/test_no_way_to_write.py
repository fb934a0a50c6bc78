"""What fails for good without being a row's fault: the region's time ends it, and it holds up nobody else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_core.db import Database
from tests.engine import Engine, running
from tests.jobs import catalogue, one, opened, settings_for, submission, submit, until

Conn = psycopg.Connection[Any]
SHORT = {"lease_seconds": 1, "heartbeat_seconds": 0.2}


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url), "api") as database:
        yield database


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    with ExitStack() as stop:
        worker = stop.enter_context(opened(settings_for(database_url, **SHORT), "worker", size=4))
        yield stop.enter_context(running(worker, catalogue(tmp_path)))


@pytest.fixture
def refuse(conn: Conn) -> Callable[[str, str, str], None]:
    """refuse("answers", "P0001", "job-1"): no row of this job is written to this table any more."""
    conn.execute(
        b"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        b" $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = TG_ARGV[0]; END $$"
    )

    def make(table: str, state: str, job_id: str = "%") -> None:
        conn.execute(
            f"CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW"
            f" WHEN (NEW.job_id LIKE '{job_id}') EXECUTE FUNCTION fail('{state}')".encode()
        )

    return make


@pytest.mark.parametrize("state", ["P0001", "54000", "42501"])
def test_a_run_that_can_never_be_written_is_given_up_after_its_deadline(
    db: Database, conn: Conn, engine: Engine, refuse: Callable[..., None], state: str
) -> None:
    """Kept under a lease that is extended for ever, its job would never end."""
    bad = submit(db, submission(regions=("US",), timeout_seconds=1.0)).job_id
    good = submit(db, submission(regions=("US",))).job_id
    refuse("executions", state, bad)
    engine.take((bad, "US"), (good, "US"))
    ended = {job_id: outcome for job_id, _, outcome in engine.wait(2, 60)}
    assert ended == {bad: "error", good: "finished"}
    assert one(conn, "SELECT count(*) FROM region_runs WHERE lease_token IS NOT NULL") == 0
    assert engine.runner.busy() == 0


def test_one_damaged_place_keeps_no_other_run_from_being_written(
    db: Database, conn: Conn, engine: Engine, refuse: Callable[..., None]
) -> None:
    """A disk error looks like the whole server's trouble, and may be that of one page."""
    bad = submit(db, submission(regions=("US",))).job_id
    good = submit(db, submission(regions=("US",))).job_id
    refuse("executions", "58030", bad)
    engine.take((bad, "US"), (good, "US"))
    assert [job_id for job_id, _, _ in engine.wait(1, 90)] == [good]
    assert one(conn, "SELECT count(*) FROM executions") == 1


def test_claims_that_fail_one_after_the_other_drop_one_message_and_no_more(
    db: Database, conn: Conn, engine: Engine, refuse: Callable[..., None]
) -> None:
    """A missing right would else empty the queue into nothing, away from workers that can claim."""
    jobs = [(submit(db, submission(regions=("US",))).job_id, "US") for _ in range(4)]
    refuse("region_runs", "42501")
    for _ in range(2):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            engine.take(*jobs)
    assert len(engine.outcomes) <= 1
    conn.execute(b"DROP TRIGGER fail ON region_runs")
    engine.take(*jobs)
    until(lambda: one(conn, "SELECT count(*) FROM jobs WHERE status = 'completed'") == 4)
