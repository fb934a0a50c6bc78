"""The gauges that are read from the database: two alerts page somebody by them."""

from typing import Any

import psycopg
from prometheus_client import REGISTRY

from outbox_publisher import gauges
from runner_core.db import Database
from runner_core.statuses import STUCK_SECONDS
from runner_worker.engine.leases import claim
from tests.jobs import submission, submit, submit_many

Conn = psycopg.Connection[Any]


def late() -> tuple[float | None, float | None]:
    return REGISTRY.get_sample_value("jobs_stuck"), REGISTRY.get_sample_value("jobs_overdue")


def test_a_job_that_nobody_begins_is_stuck(db: Database, conn: Conn) -> None:
    old, _ = submit_many(db, 2, regions=("US",))
    gauges.refresh(db)
    assert late() == (0, 0)
    conn.execute(
        "UPDATE jobs SET created_at = now() - make_interval(secs => %s) WHERE id = %s", [STUCK_SECONDS + 60, old]
    )
    gauges.refresh(db)
    assert late() == (1, 0)


def test_a_job_that_runs_on_after_its_last_deadline_is_overdue(db: Database, conn: Conn) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    claim(db, [(job_id, "US")], "late")
    gauges.refresh(db)
    assert late() == (0, 0)
    conn.execute("UPDATE region_runs SET deadline = now() - interval '1 day' WHERE job_id = %s", [job_id])
    gauges.refresh(db)
    assert late() == (0, 1)
