"""Each process dies, sleeps or leaves at its worst moment, by itself, in the Procfile's real processes.

A process dies by SIGKILL at a named point, or is stopped; then the provider's own log, the rows and the events are
compared with what must be true. Many faults at once are `python -m bench.chaos`'s.
"""

import os
import re
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from runner_core.cells import cell_of
from tests.acceptance.fault_site import SHORT_LEASES, Build, frozen
from tests.jobs import one, query, until

if TYPE_CHECKING:
    pass


def dying_once(home: Path, point: str) -> dict[str, str]:
    """The first process that comes to this point dies there."""
    return {"BEACON_FAILPOINT": f"{point}=kill@{home / 'died'}"}


# -- one death at each boundary --


@pytest.mark.parametrize(("point", "stored", "answer"), [("api.inserting", 0, 202), ("api.committed", 1, 200)])
def test_an_api_killed_in_a_request_leaves_all_of_the_job_or_none(
    build: Build, home: Path, point: str, stored: int, answer: int
) -> None:
    with build(dying_once(home, point), worker_us=1) as it:
        spec = it.spec()
        assert it.post(spec)[0] == 0
        assert one(it.conn, "SELECT count(*) FROM jobs") == stored
        again = until(lambda: [got for got in [it.post(spec)] if got[0]])
        assert [(status, job["job_id"]) for status, job in again] == [(answer, spec["id"])]
        assert it.ended(spec["id"])["status"] == "completed"
        assert one(it.conn, "SELECT count(*) FROM jobs") == one(it.conn, "SELECT count(*) FROM idempotency_keys") == 1
        assert len(it.calls(spec["id"])) == 1


def test_a_publisher_killed_between_push_and_commit_publishes_twice_and_nothing_runs_twice(
    build: Build, home: Path, redis_url: str
) -> None:
    with build(dying_once(home, "publisher.pushed"), worker_us=1) as it:
        job_id = it.submit()
        assert it.ended(job_id)["status"] == "completed"
        # The first message was sent, and its mark was rolled back; the second one is marked as processed.
        until(lambda: one(it.conn, "SELECT processed_at FROM outbox WHERE job_id = %s", job_id))
        with redis.Redis.from_url(redis_url) as queue:
            until(lambda: not queue.exists(f"rq:queue:{cell_of(it.local.database_url).queue('beacon-us')}"))
        assert (home / "died").exists()
        assert len(it.calls(job_id)) == 1
        assert it.run(job_id)["attempt"] == 1


@pytest.mark.parametrize(
    ("point", "calls", "attempts"),
    [
        ("worker.claimed", 1, 2),
        ("worker.started", 1, 2),
        ("worker.answered", 2, 2),  # nobody but the provider knew the answer
        ("worker.recorded", 2, 2),  # rolled back with everything else
        ("worker.committed", 1, 1),
    ],
)
def test_a_worker_killed_at_a_boundary_costs_at_most_the_call_under_way(
    build: Build, home: Path, point: str, calls: int, attempts: int
) -> None:
    with build(SHORT_LEASES | dying_once(home, point), worker_us=2) as it:
        job_id = it.submit()
        job = it.ended(job_id)
        until((home / "died").exists)
        assert job["status"] == "completed"
        assert len(it.calls(job_id)) == calls
        assert it.run(job_id)["attempt"] == attempts
        [row] = job["executions"]
        assert row["output"]["response"]
        assert len(it.events(job_id, "execution_recorded")) == len(it.events(job_id, "region_finished")) == 1


# -- workers that die, sleep, leave --


def test_a_killed_workers_region_finishes_on_another_and_asks_only_what_was_not_answered(build: Build) -> None:
    with build(SHORT_LEASES, worker_us=2) as it:
        it.provider.add_rule(fault="hang", match={"prompt": " slow"}, times=1)
        job_id = it.submit(questions=("fast", "slow"))
        it.called(job_id, "slow")
        until(lambda: one(it.conn, "SELECT count(*) FROM answers WHERE status = 'ok'"))
        victim = it.holder(job_id)
        os.kill(victim, signal.SIGKILL)
        assert it.ended(job_id)["status"] == "completed"
        assert f"-{victim}-" not in it.run(job_id)["worker"]
        assert len(it.calls(job_id, "fast")) == 1
        assert len(it.calls(job_id, "slow")) == 2
        assert one(it.conn, "SELECT count(*) FROM tries") == 3


def test_a_killed_workers_region_is_claimed_again_within_its_default_lease_and_ten_seconds(build: Build) -> None:
    """By the database's clock, from the moment of the kill to the event of the second claim."""
    with build(worker_us=2) as it:
        it.provider.add_rule(fault="hang", times=1)
        job_id = it.submit(timeout_seconds=300)
        it.called(job_id)
        os.kill(it.holder(job_id), signal.SIGKILL)
        killed: datetime = one(it.conn, "SELECT clock_timestamp()")
        assert it.ended(job_id, 60)["status"] == "completed"
        first, second = it.events(job_id, "region_claimed")
        [expired] = it.events(job_id, "lease_expired")
        # The sweep looks each second; the other nine are for a machine that has much else to do.
        assert first["at"] < killed < expired["at"] <= second["at"] <= killed + timedelta(seconds=15 + 10)


def test_a_worker_that_sleeps_past_its_lease_changes_nothing_when_it_wakes(build: Build) -> None:
    with build(SHORT_LEASES, worker_us=2) as it:
        it.provider.add_rule(delay=3600.0, times=1)
        job_id = it.submit()
        it.called(job_id)
        with frozen(it.holder(job_id)):
            assert it.ended(job_id)["status"] == "completed"
            assert it.run(job_id)["attempt"] == 2
            before = it.stored_rows()
            it.provider.release()  # its answer is there when it wakes
        until(lambda: it.metric("worker_us", "runner_fenced_total ") == 1)
        assert it.stored_rows() == before


def test_sigterm_hands_over_at_once_what_has_not_begun_and_burns_no_attempt(build: Build) -> None:
    """While the call of the same worker that has begun is still under way: nobody waits for that."""
    env = {"LEASE_SECONDS": "60", "STOP_GRACE_SECONDS": "60"}
    with build(env, worker_us=2, width=1) as it, redis.Redis.from_url(it.local.env["REDIS_URL"]) as queue:
        until(lambda: queue.scard("rq:workers") == 2)
        it.provider.add_rule(delay=3600.0)
        for _ in range(4):
            it.submit(timeout_seconds=300)
        held = until(lambda: (rows := query(it.conn, WAITING))[3:] and rows)
        leaving = next(row["worker"] for row in held if not row["begun"])
        waiting = [row["job_id"] for row in held if row["worker"] == leaving and not row["begun"]]
        os.kill(int(leaving.rsplit("-", 2)[1]), signal.SIGTERM)
        for job_id in waiting:
            again = it.happened(job_id, "region_claimed", 2)[1]
            assert again["detail"]["worker"] != leaving
            assert again["detail"]["attempt"] == 1
            assert [e["detail"]["call_begun"] for e in it.events(job_id, "region_released")] == [False]
            assert not it.events(job_id, "lease_expired")
        assert one(it.conn, HELD, leaving) == 1


def test_a_deploy_ends_every_process_and_no_lease_is_waited_out(build: Build) -> None:
    """SIGTERM to all of them while providers hang; what the supervisor starts again does the rest."""
    with build({"STOP_GRACE_SECONDS": "4"}, worker_us=1, worker_eu=1, width=1) as it:
        it.provider.add_rule(fault="hang", times=2)
        ids = [it.submit("US", "EU") for _ in range(3)]
        until(lambda: one(it.conn, "SELECT count(*) FROM region_runs WHERE lease_token IS NOT NULL") == 6)
        it.called(count=2)
        before = {process.pid for process in it.local.stack.processes()}
        for pid in before:
            os.kill(pid, signal.SIGTERM)
        for job_id in ids:
            assert it.ended(job_id)["status"] == "completed"
            assert not it.events(job_id, "lease_expired")
        assert not before & {process.pid for process in it.local.stack.processes()}
        begun = [e for job_id in ids for e in it.events(job_id, "region_released") if e["detail"]["call_begun"]]
        assert {e["region"] for e in begun} == {"US", "EU"}
        assert len(begun) == 2
        attempts = query(it.conn, "SELECT job_id, region, attempt FROM region_runs")
        again = {(e["job_id"], e["region"]) for e in begun}
        assert {(r["job_id"], r["region"]) for r in attempts if r["attempt"] == 2} == again
        assert {r["attempt"] for r in attempts} == {1, 2}


def test_a_job_that_kills_its_worker_each_time_fails_after_its_attempts(build: Build) -> None:
    # Whoever claims it dies before a lease could be lost, however short that is.
    env = {"BEACON_FAILPOINT": "worker.claimed=kill", "LEASE_SECONDS": "1", "HEARTBEAT_SECONDS": "0.25"}
    with build(env, worker_us=2) as it:
        job_id = it.submit(models=2)
        job = it.ended(job_id)
        assert job["status"] == "failed"
        assert [row["error_detail"]["code"] for row in job["executions"]] == ["worker_crashed"] * 2
        assert it.run(job_id)["attempt"] == 3
        assert len(it.events(job_id, "lease_expired")) == 3
        assert it.calls() == []


def test_a_worker_whose_clock_is_five_minutes_ahead_keeps_its_leases_and_stores_the_databases_time(
    build: Build, home: Path
) -> None:
    (home / "sitecustomize.py").write_text(AHEAD)  # Python imports it at its start
    path = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH", "")]))
    with build(SHORT_LEASES | {"PYTHONPATH": path}, worker_us=1) as it:
        it.provider.add_rule(delay=6.5)  # longer than two leases
        job_id = it.submit(timeout_seconds=200)
        [row] = it.ended(job_id, 60)["executions"]
        assert it.run(job_id)["attempt"] == 1
        stored = query(it.conn, "SELECT started_at, completed_at, clock_timestamp() AS now FROM executions")[0]
        assert stored["started_at"] < stored["completed_at"] < stored["now"]
        assert 6500 <= row["duration_ms"] < 200_000
        # The clock was really ahead: the log's own stamps say so.
        stamp = re.search(r"^[\d-]{10} [\d:]{8}", (home / "log/worker_us.1.log").read_text(), re.MULTILINE)
        assert stamp
        assert datetime.fromisoformat(stamp[0]).astimezone() - stored["completed_at"] > timedelta(minutes=4)


AHEAD = """
import sys

if "runner_worker" in sys.orig_argv:
    import datetime
    import time

    true_time, true_datetime = time.time, datetime.datetime
    time.time = lambda: true_time() + 300

    class Ahead(true_datetime):
        @classmethod
        def now(cls, tz=None):
            return true_datetime.now(tz) + datetime.timedelta(minutes=5)

    datetime.datetime = Ahead
"""
HELD = "SELECT count(*) FROM region_runs WHERE lease_token IS NOT NULL AND worker = %s"
WAITING = """
SELECT r.job_id, r.worker, EXISTS (SELECT 1 FROM answers a WHERE a.job_id = r.job_id) AS begun
  FROM region_runs r WHERE r.lease_token IS NOT NULL
   AND (SELECT count(*) FROM answers) = (SELECT count(DISTINCT worker) FROM region_runs)"""
