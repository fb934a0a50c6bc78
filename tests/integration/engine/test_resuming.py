"""A region that a dead worker left is resumed with what was not answered."""

from typing import Any

import psycopg

from outbox_publisher.sweep import take_back
from runner_core.db import Database
from runner_core.queries import run
from runner_core.regions import Catalogue
from runner_core.store import executions
from runner_worker.engine.leases import claim
from tests.engine import Start
from tests.held_regions import ended, expire
from tests.jobs import one, query, submission, submit, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]


def test_a_resumed_run_asks_only_what_was_not_answered(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="hang", match={"prompt": "Where"}, times=1)
    server.add_rule(fault="status", status=403, match={"prompt": "Who"})
    job_id = submit(db, submission(regions=("US",), questions=("q1", "q2", "q3", "q4"))).job_id
    first = start(loopback, "first")
    first.take((job_id, "US"))
    server.wait_for_calls(4)
    until(lambda: one(conn, "SELECT count(*) FROM answers WHERE status <> 'started'") == 3)
    first.runner.close()
    expire(conn)
    assert take_back(db) == 1
    assert start(loopback, "second").run((job_id, "US")) == ["finished"]
    asked = [call.body["messages"][-1]["content"] for call in server.calls]
    assert sorted(asked) == sorted(["What is it?", "Why is it?", "Where is it?", "Who is it?", "Where is it?"])
    [result] = query(conn, "SELECT status, attempt, retry_count, failed_answers FROM executions")
    assert result == {"status": "completed", "attempt": 2, "retry_count": 1, "failed_answers": 1}
    assert query(conn, "SELECT status, calls FROM answers WHERE question_id = 'q3'") == [{"status": "ok", "calls": 1}]
    assert one(conn, "SELECT count(*) FROM tries WHERE question_id = 'q3'") == 2


def test_a_region_whose_models_are_done_but_one_is_resumed_with_that_one(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="hang", match={"model": "m2"}, times=1)
    job_id = submit(db, submission(regions=("US",), models=("m1", "m2"))).job_id
    first = start(loopback, "first")
    first.take((job_id, "US"))
    until(lambda: one(conn, "SELECT count(*) FROM executions") == 1)
    before = query(conn, "SELECT * FROM executions")
    first.runner.close()
    expire(conn)
    assert start(loopback, "second").run((job_id, "US")) == ["finished"]
    assert [call.body["model"] for call in server.calls].count("m1") == 1
    assert query(conn, "SELECT * FROM executions WHERE model_id = 'm1'") == before
    assert one(conn, "SELECT status FROM jobs") == "completed"


def test_a_crash_between_the_last_result_and_the_close_needs_no_call(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    [held] = claim(db, [(job_id, "US")], "w")[0]
    with db.transaction() as own:
        run(own, "jobs.lock", job_ids=[job_id])
        executions.record(own, [ended(held, "all of it")])
        run(own, "jobs.close", job_ids=[job_id])  # the version follows the event; the region stays open
    expire(conn)
    assert start(loopback).run((job_id, "US")) == ["finished"]
    assert server.calls == []
    assert one(conn, "SELECT status FROM jobs") == "completed"
