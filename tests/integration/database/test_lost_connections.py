"""Connections cut, frozen, terminated, and a server that crashes: the whole verb is repeated."""

import threading
import time
from typing import Any

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from runner_cli.embedded import EmbeddedPostgres
from runner_core.db import Database, retried
from runner_core.errors import NotReady
from runner_core.jobspec import Submission
from runner_core.migrate import migrate
from runner_core.queries import run
from runner_core.readiness import probe
from runner_core.sqlstate import sqlstate
from tests.commit_proxy import CommitProxy
from tests.jobs import one, opened, query, settings_for, submission, submit, until
from tests.write_errors import LOST, Counted

Conn = psycopg.Connection[Any]


def test_a_connection_cut_in_a_statement_is_replaced_and_the_verb_repeated(
    db: Database, proxy: CommitProxy, conn: Conn
) -> None:
    proxy.cut(after_bytes=200)
    counted = Counted()
    submit(db, submission())
    assert one(conn, "SELECT count(*) FROM jobs") == 1
    assert counted() == LOST


def leave(db: Database) -> None:
    """A small write, tried once."""
    with db.transaction() as own:
        run(own, "processes.leave", process_id="x")


def accepted(db: Database, job: Submission) -> bool:
    """Whether the job is accepted; False while there is no connection."""
    try:
        return bool(submit(db, job))
    except (psycopg.Error, PoolTimeout):
        return False


def test_a_verb_through_a_black_hole_ends_at_its_limit(proxied: str, proxy: CommitProxy, conn: Conn) -> None:
    """Two seconds for a statement and one more for the transaction, then its socket is shut down from outside."""
    with opened(settings_for(proxied, db_write_timeout_ms=2000), size=1) as db:
        leave(db)
        counted = Counted()
        proxy.black_hole()
        at = time.monotonic()
        with pytest.raises(psycopg.OperationalError) as lost:
            leave(db)
        assert sqlstate(lost.value) == "08006"
        assert 3 <= time.monotonic() - at < 20
        assert counted() == {"08006": 1}
        proxy.heal()
        job = submission()  # one for all tries: a reply may be lost
        until(lambda: accepted(db, job))
    assert one(conn, "SELECT count(*) FROM jobs") == 1


def test_a_verb_goes_on_when_a_black_hole_closes_while_idle_connections_lie_in_the_pool(
    proxied: str, proxy: CommitProxy, conn: Conn
) -> None:
    """Nobody may wait for an idle connection that leads nowhere: none of them has a time limit."""
    with opened(settings_for(proxied, db_write_timeout_ms=500), size=4) as db:
        held = [db.pool.getconn() for _ in range(4)]
        for connection in held:
            db.pool.putconn(connection)
        proxy.black_hole()
        ended: list[object] = []

        def verb() -> None:
            try:
                ended.append(submit(db, submission()))
            except (psycopg.Error, PoolTimeout) as error:
                ended.append(error)

        thread = threading.Thread(target=verb, daemon=True)
        thread.start()
        until(lambda: not thread.is_alive())
        proxy.heal()
        job = submission()
        until(lambda: accepted(db, job))
    assert ended


@retried
def contended(db: Database, started: threading.Event, tries: list[int]) -> None:
    """A verb that has an open transaction on its first try, until the test has broken it."""
    tries.append(len(tries))
    with db.transaction(pipeline=False) as own:
        run(own, "processes.leave", process_id="nobody")
        if len(tries) == 1:
            started.set()
            run(own, "jobs.lock", job_ids=["held"])


def test_a_backend_that_is_terminated_is_replaced(database_url: str, conn: Conn, held: Conn) -> None:
    counted = Counted()
    tries: list[int] = []
    with opened(settings_for(database_url, db_write_timeout_ms=8000), size=2) as db:
        started = threading.Event()
        verb = threading.Thread(target=contended, args=(db, started, tries))
        verb.start()
        started.wait(10)
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        until(lambda: one(conn, kill))
        verb.join()
    assert tries == [0, 1]
    assert counted() == {"retries": 1, "57P01": 1}


def test_a_server_that_crashes_and_comes_back_loses_nothing_that_was_acknowledged(
    own_postgres: EmbeddedPostgres,
) -> None:
    migrate(own_postgres.url)
    counted = Counted()
    with opened(settings_for(own_postgres.url), size=4) as db:
        before = [submit(db, submission()).job_id for _ in range(20)]
        own_postgres.restart(immediate=True)
        after = submit(db, submission()).job_id
        with psycopg.connect(own_postgres.url) as conn:
            assert {r["id"] for r in query(conn, "SELECT id FROM jobs")} == {*before, after}
    seen = counted()
    seen.pop("retries", None)  # none, where the pool had noticed by itself that its connections were gone
    assert all(state[:2] in ("08", "57") for state in seen)


def test_the_retry_gives_up_after_its_tries_and_raises_the_last_error(
    db: Database, proxy: CommitProxy, conn: Conn
) -> None:
    counted = Counted()
    job = submission()
    proxy.lose_request(times=1000, at=job.job_id)
    with pytest.raises(psycopg.OperationalError):
        submit(db, job)
    assert counted() == {"retries": 5, "08006": 6}
    assert one(conn, "SELECT count(*) FROM jobs") == 0


def test_a_connection_is_discarded_after_a_failed_pipeline(database_url: str, conn: Conn) -> None:
    with opened(settings_for(database_url), size=1) as db:
        with db.transaction() as own:
            first = own.info.backend_pid
        conn.execute(b"ALTER TABLE processes ADD CHECK (kind <> 'cli')")
        with pytest.raises(NotReady, match="23514"):
            probe(db)
        with db.transaction() as own:
            assert own.info.backend_pid != first
