"""The chaos suite's checks read from the database which tries a fault may have kept from the provider."""

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from bench.chaos.tries import Tried, cells
from runner_core.db import Database
from runner_core.store import answers
from runner_core.store.answers import Started
from runner_worker.engine.leases import claim
from tests.jobs import opened, query, settings_for, submission, submit

Conn = psycopg.Connection[Any]


@pytest.fixture
def deployment(conn: Conn) -> Any:
    """What the checks need of a deployment."""
    return SimpleNamespace(ask=lambda sql: query(conn, sql))


def start(db: Database, job_id: str) -> None:
    """Claim the region and begin its one question, as a worker does."""
    [row] = claim(db, [(job_id, "US")], "worker")[0]
    with db.transaction() as conn:
        answers.start(conn, [Started(job_id, "US", "m1", "q1", 1, "p1", str(row["token"]))])


def test_an_attempt_is_struck_when_its_region_is_claimed_again_before_the_sweeper_has_looked(
    database_url: str, conn: Conn, deployment: Any
) -> None:
    """The claim takes over a lease that has run out, and no event says that it ran out."""
    with opened(settings_for(database_url), "worker") as db:
        job = submission(regions=("US",))
        job.spec["metadata"] = {"created_by": "chaos-1"}
        cell = ("chaos-1", "US", "m1", job.questions[0].text)
        submit(db, job)
        start(db, job.job_id)
        assert cells(deployment) == {cell: Tried(1, 0, 0)}
        conn.execute(b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s'")
        start(db, job.job_id)
    assert cells(deployment) == {cell: Tried(2, 1, 0)}
