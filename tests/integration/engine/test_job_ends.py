"""The last region that ends completes its job, whoever else ends at the same time."""

import logging
import threading
from typing import Any

import psycopg
import pytest

from runner_core import endings
from runner_core.db import Database
from runner_core.queries import run
from runner_core.regions import Catalogue
from runner_core.store import executions, region_runs
from runner_worker.engine.leases import claim
from tests.engine import Start
from tests.held_regions import ended
from tests.jobs import one, opened, query, settings_for, submission, submit, submit_many, until

Conn = psycopg.Connection[Any]


def test_the_last_two_regions_finishing_together_complete_the_job_every_time(
    db: Database, conn: Conn, database_url: str
) -> None:
    """200 times two real transactions, let go by a barrier when both have begun and neither has a lock."""
    jobs = submit_many(db, 200, regions=("US", "EU"))
    held = {
        (row["job_id"], row["region"]): row for row in claim(db, [(j, r) for j in jobs for r in ("US", "EU")], "w")[0]
    }
    together = threading.Barrier(2)
    errors: list[Exception] = []

    def finish(region: str) -> None:
        with opened(settings_for(database_url), size=1) as own:
            for job_id in jobs:
                row = held[job_id, region]
                try:
                    with own.transaction(pipeline=False) as mine:
                        together.wait(20)
                        run(mine, "jobs.lock", job_ids=[job_id])
                        region_runs.hold(mine, [(job_id, region, row["token"])])
                        executions.record(mine, [ended(row, region)])
                        endings.close(mine, [job_id])
                except psycopg.Error as error:
                    errors.append(error)

    threads = [threading.Thread(target=finish, args=(region,)) for region in ("US", "EU")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert query(conn, "SELECT status, count(*) FROM jobs GROUP BY 1") == [{"status": "completed", "count": 200}]
    assert one(conn, "SELECT count(*) FROM job_events WHERE type = 'job_completed'") == 200


def test_the_status_is_recounted_after_the_lock_and_not_in_its_statement(
    db: Database, conn: Conn, database_url: str
) -> None:
    """One transaction holds the job while the other waits for it: the second must see the first one's region."""
    job_id = submit(db, submission(regions=("US", "EU"))).job_id
    held = {row["region"]: row for row in claim(db, [(job_id, "US"), (job_id, "EU")], "w")[0]}

    def record(own: Conn, region: str) -> None:
        run(own, "jobs.lock", job_ids=[job_id])
        executions.record(own, [ended(held[region], region)])
        endings.close(own, [job_id])

    with opened(settings_for(database_url)) as other:

        def second() -> None:
            with other.transaction() as own:
                record(own, "EU")

        waiting = threading.Thread(target=second)
        with db.transaction(pipeline=False) as own:
            record(own, "US")
            waiting.start()
            until(lambda: one(conn, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1)
        waiting.join()
    assert one(conn, "SELECT status FROM jobs") == "completed"


def test_many_at_once_and_one_by_one_leave_the_same_rows(
    database_url: str, db: Database, conn: Conn, simulated: Catalogue, start: Start
) -> None:
    """The batched path against the same jobs each alone: same answers, results, events and statuses."""
    shape: dict[str, Any] = {"regions": ("US", "EU"), "models": ("m1", "m2"), "questions": ("q1", "q2")}
    batch, single = submit_many(db, 8, **shape), submit_many(db, 8, **shape)
    engine = start(simulated)
    engine.run(*((job_id, region) for job_id in batch for region in ("US", "EU")))
    for job_id in single:
        for region in ("US", "EU"):
            engine.run((job_id, region))

    def rows(ids: list[str]) -> list[list[tuple[Any, ...]]]:
        return [
            conn.execute(sql.encode(), [ids]).fetchall()
            for sql in (
                "SELECT region, model_id, question_id, run_no, status, calls, attempt, output FROM answers"
                " WHERE job_id = ANY (%s) ORDER BY 1, 2, 3, 4, output::text",
                "SELECT region, model_id, status, provider_id, attempt, failed_answers, retry_count, output, parameters"
                " FROM executions WHERE job_id = ANY (%s) ORDER BY 1, 2",
                "SELECT type, region, model_id FROM job_events WHERE job_id = ANY (%s) ORDER BY 1, 2, 3",
                "SELECT status, version FROM jobs WHERE id = ANY (%s)",
                "SELECT region, attempt, finished_at IS NULL, lease_token FROM region_runs"
                " WHERE job_id = ANY (%s) ORDER BY 1",
            )
        ]

    assert rows(batch) == rows(single)


def test_a_region_and_a_job_that_ended_are_logged(
    db: Database, simulated: Catalogue, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job_id = submit(db, submission(regions=("US",))).job_id
    start(simulated).run((job_id, "US"))
    assert (
        f"region finished job_id={job_id} region=US status=success completed=1 failed=0 attempt=1 elapsed_ms="
        in caplog.text
    )
    assert (
        f"Cross-region execution completed status=completed success_count=1 total_regions=1 job_id={job_id}"
        in caplog.text
    )
