"""Each fault caused on purpose, alone and at its worst moment, in the Procfile's real processes.

A process dies by SIGKILL at a named point, or is stopped, or its server goes away; then the provider's own books, the
rows and the events are compared with what must be true. Many faults at once are `python -m bench.chaos`'s. Long,
because each fault is a story of its own, and all of them share the stage.
"""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis

from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from runner_cli.local import Local, login_urls, set_passwords
from runner_core.migrate import migrate
from tests.acceptance.fault_site import Site, at_once, frozen, site
from tests.acceptance.sender import verify
from tests.jobs import one, opened, query, settings_for, submit_many, until
from tests.pooler import pgbouncer
from tests.provider_server import ProviderServer

if TYPE_CHECKING:
    from tests.conftest import Servers

Build = Callable[..., AbstractContextManager[Site]]


@pytest.fixture
def build(stack: Callable[..., Local], home: Path, conn: "psycopg.Connection[Any]") -> Build:
    """build(env, worker_us=2) -> a running Site."""

    def start(env: dict[str, str] | None = None, **shape: Any) -> AbstractContextManager[Site]:
        return site(stack, home, conn, env, **shape)

    return start


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
        # The first message was sent and forgotten by the database; the second is in its books.
        until(lambda: one(it.conn, "SELECT processed_at FROM outbox WHERE job_id = %s", job_id))
        with redis.Redis.from_url(redis_url) as queue:
            until(lambda: not queue.exists("rq:queue:beacon-us"))
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
def test_a_worker_killed_at_a_boundary_costs_at_most_the_call_in_the_air(
    build: Build, home: Path, point: str, calls: int, attempts: int
) -> None:
    with build(dying_once(home, point), worker_us=2) as it:
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
    with build(worker_us=2) as it:
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


def test_a_killed_workers_region_is_claimed_again_within_its_default_lease_and_two_seconds(build: Build) -> None:
    """By the database's clock, from the moment of the kill to the event of the second claim."""
    with build({"LEASE_SECONDS": "15", "HEARTBEAT_SECONDS": "5"}, worker_us=2) as it:
        it.provider.add_rule(fault="hang", times=1)
        job_id = it.submit()
        it.called(job_id)
        os.kill(it.holder(job_id), signal.SIGKILL)
        killed: datetime = one(it.conn, "SELECT clock_timestamp()")
        assert it.ended(job_id)["status"] == "completed"
        first, second = it.events(job_id, "region_claimed")
        assert first["at"] < killed < second["at"] <= killed + timedelta(seconds=15 + 2)


def test_a_worker_that_sleeps_past_its_lease_changes_nothing_when_it_wakes(build: Build) -> None:
    with build(worker_us=2) as it:
        it.provider.add_rule(delay=0.3, times=1)
        job_id = it.submit()
        it.called(job_id)
        with frozen(it.holder(job_id)):
            assert it.ended(job_id)["status"] == "completed"
            assert it.run(job_id)["attempt"] == 2
            before = it.books()
        until(lambda: it.metric("worker_us", "runner_fenced_total ") == 1)
        assert it.books() == before


def test_sigterm_hands_over_at_once_what_has_not_begun_and_burns_no_attempt(build: Build) -> None:
    with build(worker_us=2, width=1) as it:
        it.provider.add_rule(fault="hang")
        for _ in range(4):
            it.submit()
        held = until(lambda: (rows := query(it.conn, WAITING))[3:] and rows)
        leaving = next(row["worker"] for row in held if not row["begun"])
        waiting = [row["job_id"] for row in held if row["worker"] == leaving and not row["begun"]]
        began = one(it.conn, "SELECT clock_timestamp()")
        os.kill(int(leaving.rsplit("-", 2)[1]), signal.SIGTERM)
        for job_id in waiting:
            again = it.happened(job_id, "region_claimed", 2)[1]
            assert (again["at"] - began).total_seconds() < 1.0
            assert again["detail"]["worker"] != leaving
            assert again["detail"]["attempt"] == 1
            assert [e["detail"]["call_begun"] for e in it.events(job_id, "region_released")] == [False]
            assert not it.events(job_id, "lease_expired")


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
    with build({"BEACON_FAILPOINT": "worker.claimed=kill"}, worker_us=2) as it:
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
    with build({"PYTHONPATH": path}, worker_us=1) as it:
        it.provider.add_rule(delay=2.5)
        job_id = it.submit()  # longer than two leases
        [row] = it.ended(job_id)["executions"]
        assert it.run(job_id)["attempt"] == 1
        stored = query(it.conn, "SELECT started_at, completed_at, clock_timestamp() AS now FROM executions")[0]
        assert stored["started_at"] < stored["completed_at"] < stored["now"]
        assert 2500 <= row["duration_ms"] < 10_000
        # The clock was really ahead: the log's own stamps say so.
        stamp = re.search(r"^[\d-]{10} [\d:]{8}", (home / "log/worker_us.1.log").read_text(), re.MULTILINE)
        assert stamp
        assert datetime.fromisoformat(stamp[0]).astimezone() - stored["completed_at"] > timedelta(minutes=4)


# -- PostgreSQL --


@pytest.fixture
def own_url(servers: "Servers", home: Path, own_postgres: EmbeddedPostgres) -> Iterator[str]:
    """The owner's URL of a migrated database on `own_postgres`; through PgBouncer where the others are."""
    migrate(own_postgres.url)
    set_passwords(home, own_postgres.url)
    with ExitStack() as stop:
        port = stop.enter_context(pgbouncer(home, own_postgres)) if servers.pooler_port else own_postgres.port
        yield own_postgres.url.replace(f":{own_postgres.port}/", f":{port}/")


def crash_within(
    it: Site, postgres: EmbeddedPostgres, kind: str, statement: str, table: str, begin: Callable[[], object]
) -> None:
    """Begin a verb, crash PostgreSQL while this statement of it waits for this table, and start it again.

    Afterwards the only process of this kind has seen the statement fail, and means to try the verb again."""
    log = it.local.home / f"log/{kind}.1.log"
    holder = psycopg.connect(postgres.url)
    holder.execute(f"LOCK TABLE {table} IN SHARE MODE")  # it may be read
    begin()
    until(lambda: one(it.conn, IN_FLIGHT, f"-- name: {statement}\n%"))
    postgres.restart(immediate=True)
    for lost in (holder, it.conn):
        lost.close()
    it.conn = psycopg.connect(postgres.url, autocommit=True)
    until(lambda: re.search(rf"WARNING .*statement failed: {statement} .*sqlstate=(08|57P)", log.read_text()))


def test_postgresql_that_crashes_within_each_verb_of_a_job_has_each_done_once(
    own_postgres: EmbeddedPostgres, own_url: str, stack: Callable[..., Local], home: Path
) -> None:
    """Who comes later in a job's life is stopped until it is his turn, so that each verb meets a crash of its own."""
    env = {"DATABASE_URL": own_url, **login_urls(home, own_url), "LEASE_SECONDS": "15", "HEARTBEAT_SECONDS": "5"}
    conn = psycopg.connect(own_postgres.url, autocommit=True)
    with site(stack, home, conn, env, worker_us=1) as it, ThreadPoolExecutor(1) as client:
        _, publisher, worker = (int(process.pid or 0) for process in it.local.stack.processes())
        it.provider.add_rule(delay=3600.0)
        for pid in (publisher, worker):
            os.kill(pid, signal.SIGSTOP)
        spec = it.spec()
        answers = []
        crash = partial(crash_within, it, own_postgres)
        crash("api", "jobs.submit", "idempotency_keys", lambda: answers.append(client.submit(it.post, spec)))
        assert answers[0].result()[0] in (202, 503)  # a server that is away for longer than a second costs a repeat
        assert until(lambda: it.post(spec)[0] in (200, 202))
        crash("publisher", "outbox.mark", "outbox", partial(os.kill, publisher, signal.SIGCONT))
        crash("worker_us", "region_runs.claim", "region_runs", partial(os.kill, worker, signal.SIGCONT))
        it.called(spec["id"])
        crash("worker_us", "executions.record", "executions", it.provider.release)

        job = it.ended(spec["id"])
        assert (job["status"], len(job["executions"])) == ("completed", 1)
        for table in ("jobs", "idempotency_keys", "nonces", "outbox", "region_runs", "executions", "answers"):
            assert one(it.conn, f"SELECT count(*) FROM {table}") == 1, table  # noqa: S608 - our names
        assert (it.run(spec["id"])["attempt"], len(it.calls())) == (1, 1)
        assert one(it.conn, "SELECT version FROM jobs") == one(it.conn, "SELECT count(*) FROM job_events") == 5
        for kind, crashes in (("api", 1), ("publisher", 1), ("worker_us", 2)):
            assert it.metric(kind, "db_write_errors_total{") >= crashes
            assert it.metric(kind, "db_write_retries_total ") >= crashes
        assert verify(it.local) == []
        it.conn.close()


# -- Redis and the outbox --


def test_submissions_are_accepted_without_redis_and_drain_when_it_is_back(
    build: Build, own_valkey: EmbeddedValkey
) -> None:
    with build({"REDIS_URL": own_valkey.url}, worker_us=1) as it:
        own_valkey.kill()
        jobs = [it.submit() for _ in range(10)]
        until(lambda: it.metric("publisher", "outbox_publish_errors_total "))
        assert one(it.conn, "SELECT count(*) FROM outbox WHERE processed_at IS NULL") == 10
        assert one(it.conn, "SELECT sum(attempts) FROM outbox") == 0  # Redis' failure is no row's
        own_valkey.start()
        assert {it.ended(job_id)["status"] for job_id in jobs} == {"completed"}
        assert len(it.calls()) == 10


@pytest.mark.parametrize("fault", ["emptied", "restarted from an older file"])
def test_a_redis_that_lost_its_queues_is_noticed_in_seconds_and_everything_is_staged_again(
    build: Build, own_valkey: EmbeddedValkey, database_url: str, tmp_path: Path, fault: str
) -> None:
    old = tmp_path / "older"
    env = {"REDIS_URL": own_valkey.url, "CONCURRENCY": "1", "LEASE_SECONDS": "15", "HEARTBEAT_SECONDS": "5"}
    with build(env, worker_us=1, worker_eu=1, worker_asia=1) as it, redis.Redis.from_url(own_valkey.url) as queues:
        it.provider.add_rule(fault="hang")
        queues.config_set("appendfsync", "always")
        until(lambda: queues.exists("beacon:sentinel"))
        queues.set("written", "now")  # with it everything before it is on disk
        shutil.copytree(own_valkey.appended, old)
        with opened(settings_for(database_url)) as db:
            submit_many(db, 334, regions=("US", "EU", "ASIA"))
        names = [f"rq:queue:beacon-{region}" for region in ("us", "eu", "asia")]
        until(lambda: sum(map(queues.llen, names)) == 999)  # each worker has one in its hands
        if fault == "emptied":
            queues.flushall()
        else:
            own_valkey.kill()
            own_valkey.start(old)
        began = one(it.conn, "SELECT clock_timestamp()")  # it answers again
        until(lambda: one(it.conn, STAGED) >= 999)
        first, last = it.conn.execute(STAGED_AT).fetchone() or (None, None)
        assert (first - began).total_seconds() < 2
        assert (last - began).total_seconds() < 10
        it.provider.set_rules([])
        it.provider.release()
        until(lambda: one(it.conn, OPEN_JOBS) == 0, 60)
        assert one(it.conn, "SELECT count(*) FROM executions WHERE status = 'completed'") >= 999
        assert len(it.calls()) <= 1002 + 3  # the calls that were hanging are tried again


def test_messages_whose_hashes_redis_evicted_are_sent_again(build: Build, redis_url: str) -> None:
    """A worker that finds an id without its hash drops it: only the sweeper knows that somebody still waits."""
    with build(worker_us=1) as it, redis.Redis.from_url(redis_url) as queues:
        [worker] = [process.pid for process in it.local.stack.processes() if process.kind == "worker_us"]
        with frozen(worker):
            jobs = [it.submit() for _ in range(5)]
            until(lambda: one(it.conn, "SELECT count(*) FROM outbox WHERE processed_at IS NULL") == 0)
            assert queues.delete(*queues.keys("rq:job:*")) >= len(jobs) - 1  # one may be in the worker's hands
        assert [it.ended(job_id)["status"] for job_id in jobs] == ["completed"] * len(jobs)
        assert one(it.conn, "SELECT count(*) FROM job_events WHERE detail ->> 'reason' = 'message_lost'")


def test_a_queue_that_takes_no_message_delays_nobody_else(build: Build, redis_url: str) -> None:
    with build(worker_us=1, worker_eu=1) as it, redis.Redis.from_url(redis_url) as queues:
        until(lambda: it.ended(it.submit("EU"))["status"] == "completed")
        until(lambda: not queues.exists("rq:queue:beacon-eu"))
        queues.set("rq:queue:beacon-eu", "not a list")
        poisoned = [it.submit("EU", "US") for _ in range(3)]
        for job_id in [*poisoned, it.submit("US")]:
            it.happened(job_id, "region_finished")
        stuck = query(it.conn, "SELECT * FROM outbox WHERE processed_at IS NULL")
        assert {row["topic"] for row in stuck} == {"beacon-eu"}
        assert all("WRONGTYPE" in row["last_error"] and row["dead_at"] is None for row in stuck)
        queues.delete("rq:queue:beacon-eu")
        assert {it.ended(job_id)["status"] for job_id in poisoned} == {"completed"}


# -- races and hostile answers --


def test_cancelling_races_with_completing_and_has_one_winner(build: Build) -> None:
    with build(worker_us=1, worker_eu=1) as it:
        it.provider.add_rule(delay=3600.0)
        jobs = [it.submit("US", "EU") for _ in range(24)]
        until(lambda: len(it.provider.calls) == 2 * len(jobs))
        first, *racing, last = jobs

        def cancel_late(job_id: str, seconds: float) -> tuple[int, dict[str, Any]]:
            time.sleep(seconds)
            return it.cancel(job_id)

        # One before the answers' arrival, one after its end, and the others from the one moment to the other.
        told = [it.cancel(first)]
        late = [partial(cancel_late, job_id, 0.2 * n / len(racing)) for n, job_id in enumerate(racing)]
        told += at_once([*late, it.provider.release])[:-1]
        it.ended(last)
        told.append(it.cancel(last))
        for job_id, (status, answer) in zip(jobs, told, strict=True):
            job = it.ended(job_id)
            assert (status, job["status"]) in ((200, "cancelled"), (409, "completed")), answer
            assert len(it.events(job_id, "job_cancelled")) + len(it.events(job_id, "job_completed")) == 1
            assert {row["status"] for row in job["executions"]} <= {"completed", "cancelled"}
        assert {status for status, _ in told} == {200, 409}, "each of the two has won"
        before = {table: rows for table, rows in it.books().items() if table != "region_runs"}
        until(lambda: it.metric("worker_us", "runner_region_runs_in_flight ") == 0)
        until(lambda: it.metric("worker_eu", "runner_region_runs_in_flight ") == 0)
        assert {table: rows for table, rows in it.books().items() if table in before} == before


def test_a_hostile_provider_does_no_harm(build: Build) -> None:
    expected = {
        "big": "answer_too_large",
        "redirect_other": "redirect_refused",
        "html": "malformed_answer",
        "drip": "timeout",
        "raw_nul": None,
        "nul": None,
    }
    with ProviderServer() as elsewhere, build(worker_us=1) as it:
        [worker] = [p.pid for p in it.local.stack.processes() if p.kind == "worker_us"]
        for fault in expected:
            it.provider.add_rule(fault=fault, match={"prompt": f" {fault}"}, location=f"{elsewhere.url}/stolen")
        jobs = {fault: it.submit(questions=(fault,), timeout_seconds=4) for fault in expected}
        seen = {}
        for fault, job_id in jobs.items():
            [row] = it.ended(job_id)["executions"]
            seen[fault] = (row["error_detail"] or {}).get("code")
        assert seen == expected
        for fault, answer in (("nul", "before\ufffd\ufffdafter"), ("raw_nul", "before \ufffd\ufffd after")):
            [row] = it.job(jobs[fault])["executions"]
            assert (row["output"]["response"], row["output"]["sanitised"]) == (answer, True)
        assert elsewhere.calls == []
        assert it.ended(it.submit())["status"] == "completed"
        assert [p.pid for p in it.local.stack.processes() if p.kind == "worker_us"] == [worker]


def test_no_log_of_any_process_has_a_key_a_secret_or_a_prompt(build: Build, home: Path, redis_url: str) -> None:
    secret = "provider-secret-0123456789"
    env = {"DB_AUDIT": "1", "FAULTS_PROVIDER_KEY": secret}
    with build(env, worker_us=1, key_env="FAULTS_PROVIDER_KEY") as it:
        it.provider.add_rule(fault="status", status=400, text="you asked: confidential echo", match={"prompt": " echo"})
        it.provider.add_rule(fault="nul", text="confidential reply", match={"prompt": " quote"})
        job_ids = [it.submit(questions=(f"confidential {word}",)) for word in ("plain", "echo", "quote")]
        assert {it.ended(job_id)["status"] for job_id in job_ids} == {"completed", "failed"}
        assert it.provider.calls[0].headers["authorization"] == f"Bearer {secret}"
        spec = it.spec(questions=("confidential lie",))
        assert it.post(spec | {"runs": 2})[0] == 400  # a signature that does not match
        assert it.post(spec | {"constraints": "confidential"})[0] == 400
        it.conn.execute("ALTER TABLE executions RENAME TO gone")  # the database's own words quote rows
        broken = it.submit(questions=("confidential crash",))
        it.happened(broken, "region_claimed")
        until(lambda: "executions" in (home / "log/worker_us.1.log").read_text())
        it.conn.execute("ALTER TABLE gone RENAME TO executions")
        it.ended(broken)
        forbidden = [secret, "confidential", it.local.admin_token, redis_url.split("@")[0].rpartition(":")[2]]
        forbidden += [path.read_text().strip() for path in home.glob("*.password")]
        forbidden += [spec["signature"], spec["public_key"], "PRIVATE KEY", "before"]
    logs = {path.name: path.read_text() for path in (home / "log").glob("*.log")}
    assert {"api.1.log", "publisher.1.log", "worker_us.1.log"} <= logs.keys()
    found = [(name, word) for name, text in logs.items() for word in forbidden if word and word in text]
    assert found == []
    assert re.search(r"DB_AUDIT executions\.record .*rows=1", logs["worker_us.1.log"])


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
IN_FLIGHT = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
WAITING = """
SELECT r.job_id, r.worker, EXISTS (SELECT 1 FROM answers a WHERE a.job_id = r.job_id) AS begun
  FROM region_runs r WHERE r.lease_token IS NOT NULL
   AND (SELECT count(*) FROM answers) = (SELECT count(DISTINCT worker) FROM region_runs)"""
STAGED = "SELECT count(*) FROM job_events WHERE type = 'region_staged'"
STAGED_AT = "SELECT min(at), max(at) FROM job_events WHERE type = 'region_staged'"
OPEN_JOBS = "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')"
