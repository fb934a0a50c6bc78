"""Regions that are cancelled, or whose deadline passes, while their calls are made."""

from pathlib import Path
from typing import Any

import psycopg

from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_core.db import Database
from runner_core.regions import Catalogue
from tests.engine import Start
from tests.jobs import catalogue, one, query, submission, submit, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]


def test_a_cancellation_during_a_call_ends_it(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="hang", match={"model": "m2"})
    job_id = submit(db, submission(regions=("US",), models=("m1", "m2"))).job_id
    engine = start(loopback, heartbeat_seconds=0.05)
    engine.take((job_id, "US"))
    until(lambda: one(conn, "SELECT count(*) FROM executions") == 1)
    assert cancel_job(db, job_id, Actor("admin"), "a").executions == 1
    assert engine.wait(1) == [(job_id, "US", "fenced")]
    results = query(conn, "SELECT model_id, status FROM executions ORDER BY 1")
    assert results == [{"model_id": "m1", "status": "completed"}, {"model_id": "m2", "status": "cancelled"}]
    assert one(conn, "SELECT status FROM jobs") == "cancelled"


def test_at_the_deadline_answers_are_kept_and_the_rest_is_a_timeout(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="hang", match={"prompt": "Why"})
    server.add_rule(fault="hang", match={"model": "m2"})
    shape = {"models": ("m1", "m2"), "questions": ("q1", "q2"), "timeout_seconds": 5.0}
    job_id = submit(db, submission(regions=("US",), **shape)).job_id
    assert start(loopback).run((job_id, "US")) == ["finished"]
    results = query(
        conn, "SELECT model_id, status, failed_answers, error ->> 'code' AS code FROM executions ORDER BY 1"
    )
    assert results == [
        {"model_id": "m1", "status": "completed", "failed_answers": 1, "code": None},
        {"model_id": "m2", "status": "failed", "failed_answers": 2, "code": "timeout"},
    ]
    kept = query(conn, "SELECT status FROM answers WHERE model_id = 'm1' ORDER BY question_id")
    assert [answer["status"] for answer in kept] == ["ok", "failed"]


def test_a_region_in_which_every_unit_timed_out_reads_timeout(
    db: Database, conn: Conn, tmp_path: Path, start: Start
) -> None:
    hanging = catalogue(tmp_path, {"US": {"options": {"hang": True}, "max_concurrency": 1}})
    # The second question waits for the first one's place, and so never begins.
    job_id = submit(db, submission(regions=("US",), questions=("q1", "q2"), timeout_seconds=0.3)).job_id
    assert start(hanging).run((job_id, "US")) == ["finished"]
    assert one(conn, "SELECT status FROM region_results") == "timeout"
    assert one(conn, "SELECT status FROM jobs") == "failed"
