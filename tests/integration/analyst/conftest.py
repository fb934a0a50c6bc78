"""Ended jobs, and an analyst whose computation is a test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_analyst.analyst import Analyst, Compute, Computed, compute
from runner_core.db import Database
from runner_core.judge_settings import Judge
from runner_core.store.analyses import Snapshot
from runner_worker.judging import Judging
from tests.engine import Engine, running
from tests.integration.analyst.judge_calls import JUDGE, PROVIDER, Asked
from tests.jobs import catalogue, opened, query, settings_for, submission, submit

Conn = psycopg.Connection[Any]
BROKEN: dict[str, dict[str, Any]] = {"ASIA": {"options": {"fail": "http_403"}}}
METHOD = "a-method/1"


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    """A worker whose calls in ASIA fail."""
    with opened(settings_for(database_url), "worker") as db, running(db, catalogue(tmp_path, BROKEN)) as made:
        yield made


@pytest.fixture
def ended(engine: Engine) -> Callable[..., str]:
    """Submits a job and carries it out; returns its id."""

    def end(regions: tuple[str, ...] = ("US", "EU"), **changes: Any) -> str:
        job = submission(regions=regions, **changes)
        submit(engine.db, job)
        engine.run(*((job.job_id, region) for region in job.plan))
        return job.job_id

    return end


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url), "analyst") as made:
        yield made


@pytest.fixture
def make(db: Database) -> Callable[..., Analyst]:
    """Makes an analyst that does `before`, computes, and looks for due jobs each time."""

    def build(before: Callable[[Snapshot], object] = lambda _: None) -> Analyst:
        def own(snapshot: Snapshot) -> Computed:
            before(snapshot)
            return compute(snapshot)

        chosen: Compute = own
        return Analyst(db, chosen, METHOD, look_seconds=0)

    return build


@pytest.fixture
def worker(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url), "worker") as made:
        yield made


@pytest.fixture
def judges(worker: Database) -> Iterator[Callable[..., Judging]]:
    made: list[Judging] = []

    def build(asks: Asked, judge: Judge = JUDGE, has_room: Callable[[], bool] = lambda: True) -> Judging:
        made.append(Judging(worker, judge, PROVIDER, asks, has_room))
        return made[-1]

    yield build
    for one_of in made:
        one_of.close()


def stored(conn: Conn) -> list[dict[str, Any]]:
    """The rows of `analyses`, in the order of their states."""
    return query(conn, "SELECT * FROM analyses ORDER BY job_id, job_version, label_id")


def drain(analyst: Analyst) -> int:
    """Analyse until nothing is due; the number of jobs taken."""
    taken = 0
    while analyst.analyse_due():
        taken += 1
    return taken
