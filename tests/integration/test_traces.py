"""What the product does on a real server is what the checked model does: its jobs' events are replayed."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.model import traces
from bench.model.replay import replay
from outbox_publisher.sweep import take_back
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_core.jobspec import Submission
from runner_worker.engine.leases import claim
from tests.engine import running
from tests.jobs import catalogue, opened, query, settings_for, submission, submit

pytestmark = [pytest.mark.needs("spin", "gcc"), pytest.mark.timeout(240)]
REGIONS = ("US", "EU")  # one after the other: a worker serves one region, so that no transaction is about two


def of_two() -> Submission:
    return submission(regions=REGIONS, models=("m1", "m2"), questions=("q1", "q2"))


def test_every_step_of_real_jobs_is_allowed_and_an_event_that_is_missing_is_not(
    database_url: str, conn: psycopg.Connection[Any], tmp_path: Path
) -> None:
    (tmp_path / "without").mkdir()
    with opened(settings_for(database_url), "api") as db, opened(settings_for(database_url), "worker", size=4) as own:
        straight, crashed, cancelled, failed = (submit(db, of_two()).job_id for _ in range(4))
        claim(own, [(crashed, "US")], "w")
        claim(own, [(cancelled, "EU")], "w")
        conn.execute(b"UPDATE region_runs SET lease_expires_at = clock_timestamp() WHERE job_id = %s", [crashed])
        assert take_back(db) == 1
        cancel_job(db, cancelled, Actor("admin"), "a")
        with running(own, catalogue(tmp_path / "without", models="m1"), "without") as engine:
            for region in REGIONS:
                engine.run((failed, region))
        retry_job(db, failed, Wanted(region="EU"), Actor("admin"), "b")
        with running(own, catalogue(tmp_path), "w") as engine:
            for region in REGIONS:
                engine.run((straight, region), (crashed, region))
            engine.run((failed, "EU"))
    file = tmp_path / "traces"
    assert traces.write(lambda sql: query(conn, sql), file) == 4
    jobs = [json.loads(line) for line in file.read_text().splitlines()]
    assert all(job["transactions"][-1][-1]["type"] in ("job_completed", "job_cancelled") for job in jobs)
    distinct, refused = replay(jobs, attempts=3)
    assert (distinct, refused) == (4, [])
    for job in jobs:
        del job["transactions"][1]
    # Each had a claim there, which only a job that is cancelled may do without.
    assert {one.job_id for one in replay(jobs, attempts=3)[1]} == {straight, crashed, failed}
