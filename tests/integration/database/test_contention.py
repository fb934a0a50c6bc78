"""Transactions that are in each other's way, and limits that are reached."""

import threading
from typing import Any

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolTimeout

from runner_core.db import Database, retried
from runner_core.queries import rows, run
from runner_core.sqlstate import sqlstate
from tests.cells import with_option
from tests.jobs import opened, settings_for, submission, submit
from tests.write_errors import Counted

Conn = psycopg.Connection[Any]


def test_a_deadlock_has_one_victim_and_the_victim_tries_again(database_url: str, conn: Conn) -> None:
    with opened(settings_for(database_url), size=2) as db:
        for job_id in ("a", "b"):
            submit(db, submission(job_id, regions=("US",)))
        together = threading.Barrier(2)
        tries: list[str] = []
        counted = Counted()

        @retried
        def crosswise(own_db: Database, first: str, second: str) -> None:
            tries.append(first)
            with own_db.transaction(pipeline=False) as own:
                run(own, "processes.leave", process_id="nobody")
                run(own, "jobs.lock", job_ids=[first])
                if len(tries) <= 2:
                    together.wait(10)
                run(own, "jobs.lock", job_ids=[second])

        threads = [threading.Thread(target=crosswise, args=(db, *order)) for order in (("a", "b"), ("b", "a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(tries) == 3
    assert counted() == {"retries": 1, "40P01": 1}


def test_a_serialization_conflict_is_repeated(database_url: str, conn: Conn) -> None:
    with opened(settings_for(database_url)) as db:
        submit(db, submission("contested", regions=("US",)))
    isolated = with_option(database_url, "default_transaction_isolation", "serializable")
    with opened(settings_for(isolated), size=1) as db:
        tries: list[int] = []
        counted = Counted()

        @retried
        def conflicting(own_db: Database) -> None:
            tries.append(1)
            with own_db.transaction(pipeline=False) as own:
                rows(own, "jobs.state", job_id="contested")
                if len(tries) == 1:
                    conn.execute(b"UPDATE jobs SET version = version + 1")
                run(own, "jobs.cancel", job_id="contested", actor="a", action_id="a")

        conflicting(db)
    assert len(tries) == 2
    assert counted() == {"retries": 1, "40001": 1}


def test_a_pool_with_no_connection_to_give_is_told_and_not_retried(database_url: str) -> None:
    counted = Counted()
    with opened(settings_for(database_url, db_write_timeout_ms=100), size=1) as db:
        taken = db.pool.getconn(60)
        with pytest.raises(PoolTimeout) as refused:
            submit(db, submission())
        db.pool.putconn(taken)
    assert sqlstate(refused.value) == "pool_timeout"
    assert counted() == {"pool_timeout": 1}


def test_a_statement_that_takes_too_long_is_ended_by_the_server_and_not_retried(database_url: str, held: Conn) -> None:
    counted = Counted()
    with (
        opened(settings_for(database_url, db_write_timeout_ms=1000)) as db,
        pytest.raises(errors.QueryCanceled),
        db.transaction() as own,
    ):
        run(own, "jobs.cancel", job_id="held", actor="a", action_id="a")
    assert counted() == {"57014": 1}


def test_what_is_expected_is_an_answer_and_no_error(database_url: str) -> None:
    counted = Counted()
    with opened(settings_for(database_url)) as db:
        job = submission()
        submit(db, job)
        assert submit(db, job).replayed
    assert counted() == {}
