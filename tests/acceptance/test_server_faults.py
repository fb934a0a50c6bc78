"""PostgreSQL crashes within each verb of a job; Redis goes away, is emptied, comes back old, or refuses."""

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis

from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from runner_cli.local import Local, login_urls, set_passwords
from runner_core.migrate import migrate
from tests.acceptance.fault_site import Build, Site, frozen, site
from tests.acceptance.sender import verify
from tests.cells import CELL, in_cell
from tests.jobs import one, opened, query, settings_for, submit_many, until
from tests.pooler import pgbouncer

if TYPE_CHECKING:
    from tests.conftest import Servers


# -- PostgreSQL --


def address(postgres: EmbeddedPostgres) -> str:
    """The owner's URL of the cell in a server of the test's own, never through PgBouncer."""
    return in_cell(postgres.url, CELL.schema)


@pytest.fixture
def own_url(servers: "Servers", home: Path, own_postgres: EmbeddedPostgres) -> Iterator[str]:
    """The owner's URL of a migrated database on `own_postgres`; through PgBouncer where the others are."""
    migrate(address(own_postgres))
    set_passwords(home, address(own_postgres))
    with ExitStack() as stop:
        port = stop.enter_context(pgbouncer(home, own_postgres)) if servers.pooler_port else own_postgres.port
        yield address(own_postgres).replace(f":{own_postgres.port}/", f":{port}/")


def crash_within(
    it: Site, postgres: EmbeddedPostgres, kind: str, statement: str, table: str, begin: Callable[[], object]
) -> None:
    """Begin a verb, crash PostgreSQL while this statement of it waits for this table, and start it again.

    Afterwards the only process of this kind has seen the statement fail, and means to try the verb again."""
    log = it.local.home / f"log/{kind}.1.log"
    holder = psycopg.connect(address(postgres))
    holder.execute(f"LOCK TABLE {table} IN SHARE MODE")  # it may be read
    begin()
    until(lambda: one(it.conn, IN_FLIGHT, f"-- name: {statement}\n%"))
    postgres.restart(immediate=True)
    for lost in (holder, it.conn):
        lost.close()
    it.conn = psycopg.connect(address(postgres), autocommit=True)
    until(lambda: re.search(rf"WARNING .*statement failed: {statement} .*sqlstate=(08|57P)", log.read_text()))


def test_postgresql_that_crashes_within_each_verb_of_a_job_has_each_done_once(
    own_postgres: EmbeddedPostgres, own_url: str, stack: Callable[..., Local], home: Path
) -> None:
    """Who comes later in a job's life is stopped until it is his turn, so that each verb meets a crash of its own."""
    env = {"DATABASE_URL": own_url, **login_urls(home, own_url)}
    conn = psycopg.connect(address(own_postgres), autocommit=True)
    with site(stack, home, conn, env, worker_us=1) as it, ThreadPoolExecutor(1) as client:
        _, publisher, worker, _ = (int(process.pid or 0) for process in it.local.stack.processes())
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
    env = {"REDIS_URL": own_valkey.url, "CONCURRENCY": "1", "LEASE_SECONDS": "60"}
    with build(env, worker_us=1, worker_eu=1, worker_asia=1) as it, redis.Redis.from_url(own_valkey.url) as queues:
        it.provider.add_rule(fault="hang")
        queues.config_set("appendfsync", "always")
        until(lambda: queues.exists(CELL.key("beacon:sentinel")))
        queues.set("written", "now")  # with it everything before it is on disk
        shutil.copytree(own_valkey.appended, old)
        with opened(settings_for(database_url)) as db:
            submit_many(db, 334, regions=("US", "EU", "ASIA"), timeout_seconds=600.0, provider_timeout_seconds=300.0)
        names = [f"rq:queue:{CELL.queue(topic)}" for topic in ("beacon-us", "beacon-eu", "beacon-asia")]
        until(lambda: sum(map(queues.llen, names)) == 999, 60)  # each worker has one in its hands
        if fault == "emptied":
            queues.flushall()
        else:
            own_valkey.kill()
            own_valkey.start(old)
        # A message that nobody misses is sent again when it is two leases old, which are two minutes.
        until(lambda: one(it.conn, STAGED) >= 999, 60)
        it.provider.set_rules([])
        it.provider.release()
        until(lambda: one(it.conn, OPEN_JOBS) == 0, 60)
        assert one(it.conn, "SELECT count(*) FROM executions WHERE status = 'completed'") >= 999
        assert len(it.calls()) <= 1002 + 3  # the calls that were hanging are tried again


def test_messages_whose_hashes_redis_evicted_are_sent_again(build: Build, redis_url: str) -> None:
    """A worker that finds an id without its hash drops it: only the sweeper knows that somebody still waits."""
    # Short leases, which the sweeper counts in; it does no harm where one is lost.
    env = {"LEASE_SECONDS": "1", "HEARTBEAT_SECONDS": "0.25"}
    with build(env, worker_us=1) as it, redis.Redis.from_url(redis_url) as queues:
        [worker] = [process.pid for process in it.local.stack.processes() if process.kind == "worker_us"]
        with frozen(worker):
            jobs = [it.submit() for _ in range(5)]
            until(lambda: one(it.conn, "SELECT count(*) FROM outbox WHERE processed_at IS NULL") == 0)
            assert queues.delete(*queues.keys("rq:job:*")) >= len(jobs) - 1  # one may be in the worker's hands
        assert [it.ended(job_id)["status"] for job_id in jobs] == ["completed"] * len(jobs)
        assert one(it.conn, "SELECT count(*) FROM job_events WHERE detail ->> 'reason' = 'message_lost'")


def test_a_queue_that_takes_no_message_delays_nobody_else(build: Build, redis_url: str) -> None:
    name = f"rq:queue:{CELL.queue('beacon-eu')}"
    with build(worker_us=1, worker_eu=1) as it, redis.Redis.from_url(redis_url) as queues:
        until(lambda: it.ended(it.submit("EU"))["status"] == "completed")
        until(lambda: not queues.exists(name))
        queues.set(name, "not a list")
        poisoned = [it.submit("EU", "US") for _ in range(3)]
        for job_id in [*poisoned, it.submit("US")]:
            it.happened(job_id, "region_finished")

        def waiting() -> list[dict[str, Any]]:
            return query(it.conn, "SELECT * FROM outbox WHERE processed_at IS NULL ORDER BY id")

        # A region may be done before the transaction that sent it has committed its mark.
        until(lambda: [(row["topic"], bool(row["last_error"])) for row in waiting()] == [("beacon-eu", True)] * 3)
        stuck = waiting()
        assert all("WRONGTYPE" in row["last_error"] and row["dead_at"] is None for row in stuck)
        queues.delete(name)
        assert {it.ended(job_id)["status"] for job_id in poisoned} == {"completed"}


IN_FLIGHT = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
STAGED = "SELECT count(*) FROM job_events WHERE type = 'region_staged'"
OPEN_JOBS = "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')"
