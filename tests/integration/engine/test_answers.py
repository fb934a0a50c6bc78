"""Answers become executions, and executions the status of a region and of a job."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_core.db import Database
from runner_core.queries import run
from runner_core.regions import Catalogue
from runner_core.store import executions
from runner_worker.engine.leases import claim
from tests.engine import Start
from tests.held_regions import ended
from tests.jobs import ALL, catalogue, one, query, submission, submit
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]


def test_a_region_asks_each_question_of_each_model_once_and_stores_what_came(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    job_id = submit(db, submission(regions=("US",), models=("m1", "m2"), questions=("q1", "q2"), runs=2)).job_id
    assert start(loopback).run((job_id, "US")) == ["finished"]
    assert len(server.calls) == 8
    answers = query(conn, "SELECT model_id, question_id, run_no, status, calls, attempt FROM answers ORDER BY 1, 2, 3")
    assert [(a["model_id"], a["question_id"], a["run_no"]) for a in answers] == [
        (model, question, run_no) for model in ("m1", "m2") for question in ("q1", "q2") for run_no in (1, 2)
    ]
    assert {(a["status"], a["calls"], a["attempt"]) for a in answers} == {("ok", 1, 1)}
    results = query(conn, "SELECT model_id, status, provider_id, failed_answers, retry_count, output FROM executions")
    assert {(r["status"], r["provider_id"], r["failed_answers"], r["retry_count"]) for r in results} == {
        ("completed", "p-us", 0, 0)
    }
    assert all(len(r["output"]["answers"]) == 4 for r in results)
    assert one(conn, "SELECT status FROM jobs") == "completed"
    assert [event["type"] for event in query(conn, "SELECT type FROM job_events ORDER BY seq")] == [
        *("submitted", "region_claimed", "execution_recorded", "execution_recorded", "region_finished", "job_completed")
    ]


def test_an_execution_fails_when_no_answer_is_usable_and_completes_when_one_is(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="status", status=403, match={"model": "m1"})
    server.add_rule(fault="status", status=403, match={"model": "m2", "prompt": "What"})
    job_id = submit(db, submission(regions=("US",), models=("m1", "m2"), questions=("q1", "q2"))).job_id
    start(loopback).run((job_id, "US"))
    results = query(
        conn, "SELECT model_id, status, failed_answers, error ->> 'code' AS code FROM executions ORDER BY 1"
    )
    assert results == [
        {"model_id": "m1", "status": "failed", "failed_answers": 2, "code": "http_403"},
        {"model_id": "m2", "status": "completed", "failed_answers": 1, "code": None},
    ]


@pytest.mark.parametrize(
    ("failing", "minimum", "job_status", "cross_status"),
    [
        (0, 1, "completed", "completed"),
        (1, 1, "completed", "partial"),
        (2, 1, "completed", "partial"),
        (2, 2, "failed", "failed"),
        (3, 1, "failed", "failed"),
    ],
)
def test_the_status_follows_from_how_many_regions_succeeded(
    db: Database,
    conn: Conn,
    tmp_path: Path,
    start: Start,
    failing: int,
    minimum: int,
    job_status: str,
    cross_status: str,
) -> None:
    """At a rate of 0.67 two of three are partial: the comparison is exact."""
    regions = catalogue(tmp_path, {region: {"options": {"fail": "http_403"}} for region in ALL[:failing]})
    job_id = submit(db, submission(regions=ALL, min_regions=minimum)).job_id
    start(regions).run(*((job_id, region) for region in ALL))
    assert one(conn, "SELECT status FROM jobs") == job_status
    [cross] = query(conn, "SELECT status, success_count, failure_count, total_regions FROM cross_region_executions")
    assert cross == {
        "status": cross_status,
        "success_count": 3 - failing,
        "failure_count": failing,
        "total_regions": 3,
    }
    outcomes = query(conn, "SELECT status FROM region_results ORDER BY status")
    assert [row["status"] for row in outcomes] == ["failed"] * failing + ["success"] * (3 - failing)


def test_recording_twice_is_one_row_and_a_success(db: Database, conn: Conn) -> None:
    job_id = submit(db, submission(regions=("US",), models=("m1", "m2"))).job_id
    [held] = claim(db, [(job_id, "US")], "w")[0]
    for output in ("first", "second"):
        with db.transaction() as own:
            run(own, "jobs.lock", job_ids=[job_id])
            executions.record(own, [ended(held, output)])
    assert query(conn, "SELECT output FROM executions") == [{"output": {"response": "first"}}]
    assert one(conn, "SELECT count(*) FROM job_events WHERE type = 'execution_recorded'") == 1


def test_a_model_without_a_provider_fails_alone(db: Database, conn: Conn, simulated: Catalogue, start: Start) -> None:
    job_id = submit(db, submission(plan={"US": ["m1", "gone"]})).job_id
    assert start(simulated).run((job_id, "US")) == ["finished"]
    results = query(conn, "SELECT model_id, status, error ->> 'code' AS code FROM executions ORDER BY 1")
    assert results == [
        {"model_id": "gone", "status": "failed", "code": "no_provider"},
        {"model_id": "m1", "status": "completed", "code": None},
    ]
    assert one(conn, "SELECT status FROM jobs") == "completed"


def test_what_postgresql_cannot_store_is_cleaned_and_marked(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="nul", match={"path": "/US/"})
    server.add_rule(fault="status", status=400, text="bad \x00 \ud800 request", match={"path": "/EU/"})
    server.add_rule(
        fault="raw",
        match={"path": "/ASIA/"},
        text='{"choices":[{"finish_reason":"st\\u0000op","message":{"content":"fine"}}],"usage":{"\\u0000":1}}',
    )
    job_id = submit(db, submission(regions=ALL)).job_id
    assert start(loopback).run(*((job_id, region) for region in ALL)) == ["finished"] * 3
    found = {r["region"]: r for r in query(conn, "SELECT region, status, output, error FROM answers")}
    assert found["US"]["output"]["sanitised"]
    assert found["US"]["output"]["response"].startswith("before\ufffd\ufffd")
    assert found["EU"]["error"]["code"] == "http_400"
    assert found["ASIA"]["status"] == "ok"
