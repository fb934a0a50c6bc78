"""The worker's engine against a real database: claims, answers, results, and everybody who comes too late.

Long, because each way in which two workers can meet over one region is acted out here.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from prometheus_client import REGISTRY
from psycopg_pool import PoolTimeout

from outbox_publisher.sweep import check_page, take_back
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_core import endings
from runner_core.db import Database
from runner_core.queries import run
from runner_core.regions import Catalogue
from runner_core.store import executions, region_runs
from runner_core.store.executions import Ended
from runner_worker.engine import EngineBroken, Message
from runner_worker.engine.leases import claim, release
from runner_worker.engine.writer import Writer
from tests.engine import Engine, running
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, submit_many, until
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]
Start = Callable[..., Engine]
ALL = ("US", "EU", "ASIA")


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as serving:
        yield serving


@pytest.fixture
def loopback(server: ProviderServer, tmp_path: Path) -> Catalogue:
    """Regions whose providers are the loopback server; the region is the first part of the path."""
    return catalogue(
        tmp_path, {r: {"kind": "openai", "base_url": f"{server.url}/{r}/v1", "max_concurrency": 64} for r in ALL}
    )


@pytest.fixture
def simulated(tmp_path: Path) -> Catalogue:
    return catalogue(tmp_path)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url), "api") as database:
        yield database


@pytest.fixture
def start(database_url: str) -> Iterator[Start]:
    """Starts engines, each with its own connections: start(catalogue, "name", lease_seconds=1)."""
    with ExitStack() as stop:

        def make(regions: Catalogue, name: str = "worker-1", **env: object) -> Engine:
            settings = settings_for(database_url, **{"provider_max_tries": 1, **env})
            db = stop.enter_context(opened(settings, "worker", size=4))
            return stop.enter_context(running(db, regions, name))

        yield make


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def expire(conn: Conn) -> None:
    """What a worker leaves that has been silent for longer than its lease."""
    past = b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s' WHERE lease_token IS NOT NULL"
    conn.execute(past)


# -- claims --


def test_of_two_claims_of_one_region_one_wins(db: Database, conn: Conn, database_url: str) -> None:
    ids = submit_many(db, 30, regions=("US",))
    wanted = [(job_id, "US") for job_id in ids]
    claimed: list[set[str]] = []
    together = threading.Barrier(4)

    def worker(order: list[tuple[str, str]]) -> None:
        with opened(settings_for(database_url)) as own:
            together.wait()
            claimed.append({row["job_id"] for row in claim(own, order, "w")[0]})

    threads = [threading.Thread(target=worker, args=(order,)) for order in (wanted, wanted[::-1]) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(job_id for ids_of_one in claimed for job_id in ids_of_one) == sorted(ids)
    assert query(conn, "SELECT DISTINCT attempt FROM region_runs") == [{"attempt": 1}]


def test_a_batch_may_name_a_region_twice_a_job_that_nobody_knows_and_a_region_that_is_not_planned(
    db: Database, simulated: Catalogue, start: Start
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(simulated)
    regions = [(job_id, "US"), ("nobody-knows", "US"), (job_id, "EU")]
    assert engine.run(*regions) == ["finished", "not_claimed", "not_claimed"]
    ended: list[str] = []
    twice = [Message(job_id, "US", "r", uuid4().hex) for _ in range(2)]
    engine.runner.submit(twice, lambda _, outcome: ended.append(outcome))
    assert ended == ["not_claimed", "not_claimed"]


def test_a_region_that_is_held_finished_or_cancelled_is_not_claimed(
    db: Database, conn: Conn, simulated: Catalogue, start: Start
) -> None:
    held, finished, cancelled = submit_many(db, 3, regions=("US",))
    claim(db, [(held, "US")], "somebody else")
    cancel_job(db, cancelled, Actor("admin"), "a")
    engine = start(simulated)
    assert engine.run((finished, "US")) == ["finished"]
    assert engine.run(*((job_id, "US") for job_id in (held, finished, cancelled))) == ["not_claimed"] * 3
    assert one(conn, "SELECT worker FROM region_runs WHERE job_id = %s", held) == "somebody else"


def test_a_claim_counts_as_an_attempt_and_starts_the_deadline_anew(db: Database, conn: Conn) -> None:
    job_id = submit(db, submission(regions=("US",), timeout_seconds=100.0)).job_id
    tokens = set()
    for attempt in (1, 2, 3):
        [row] = claim(db, [(job_id, "US")], f"w{attempt}")[0]
        assert row["attempt"] == attempt
        tokens.add(row["token"])
        left = one(conn, "SELECT deadline - started_at FROM region_runs")
        assert abs(left - timedelta(seconds=100)) < timedelta(seconds=1)
        expire(conn)
    assert len(tokens) == 3
    assert claim(db, [(job_id, "US")], "w4")[0] == [], "the attempts are used up"


def test_a_claim_that_fails_for_the_batch_is_made_one_by_one(
    db: Database, conn: Conn, database_url: str, simulated: Catalogue, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody sits on one job's row for longer than our limit: its neighbours are claimed all the same."""
    ids = submit_many(db, 3, regions=("US",))
    engine = start(simulated, db_write_timeout_ms=300)
    with psycopg.connect(database_url) as sitter:
        sitter.execute(b"SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", [ids[1]])
        outcomes = engine.run(*((job_id, "US") for job_id in ids))
    assert outcomes == ["finished", "error", "finished"]
    assert engine.runner.busy() == 0
    assert engine.run((ids[1], "US")) == ["finished"], "its message comes again"


# -- answers and results --


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


def ended(held: dict[str, Any], text: str, model_id: str = "m1") -> Ended:
    """A completed unit of a claimed region."""
    at = held["started_at"]
    rest = {"provider_id": "p", "started_at": at, "completed_at": at, "duration": 1, "failed_answers": 0}
    output = json.dumps({"response": text})
    return Ended(
        *(held["job_id"], held["region"], model_id, held["token"], "completed"),
        *rest.values(),
        *(0, None, output, None, None),
    )


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


# -- resuming, fencing, cancelling --


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


def test_a_zombie_changes_nothing_and_is_counted(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start, tmp_path: Path
) -> None:
    """A worker that was paused past its lease wakes up when another has taken over and has not answered yet."""
    server.add_rule(fault="status", status=403, delay=3600.0)
    job_id = submit(db, submission(regions=("US",), questions=("q1",))).job_id
    # No heartbeat comes to tell it: it finds out when it writes.
    zombie = start(loopback, "zombie", lease_seconds=600, heartbeat_seconds=300)
    zombie.take((job_id, "US"))
    server.wait_for_calls(1)
    expire(conn)
    with ProviderServer() as other:
        other.add_rule(fault="none", delay=3600.0)
        (tmp_path / "heir").mkdir()
        heir = start(catalogue(tmp_path / "heir", {"US": {"kind": "openai", "base_url": f"{other.url}/US/v1"}}), "heir")
        heir.take((job_id, "US"))
        other.wait_for_calls(1)
        token = one(conn, "SELECT lease_token FROM region_runs")
        fenced = metric("runner_fenced_total")
        server.release()
        assert zombie.wait(1) == [(job_id, "US", "fenced")]
        assert metric("runner_fenced_total") == fenced + 1
        assert one(conn, "SELECT count(*) FROM executions") == 0
        assert one(conn, "SELECT lease_token FROM region_runs") == token
        assert query(conn, "SELECT status FROM answers") == [{"status": "started"}]
        other.release()
        assert heir.wait(1) == [(job_id, "US", "finished")]
    assert query(conn, "SELECT attempt, status FROM executions") == [{"attempt": 2, "status": "completed"}]


def test_a_zombies_answer_that_was_paid_for_is_kept_while_its_region_is_open(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="none", delay=3600.0, match={"prompt": "What"}, times=1)
    server.add_rule(fault="hang", match={"prompt": "Why"})
    job_id = submit(db, submission(regions=("US",), questions=("q1", "q2"))).job_id
    zombie = start(loopback, "zombie", lease_seconds=600, heartbeat_seconds=300)
    zombie.take((job_id, "US"))
    server.wait_for_calls(2)
    expire(conn)
    take_back(db)
    server.release()
    until(lambda: one(conn, "SELECT status FROM answers WHERE question_id = 'q1'") == "ok")
    assert one(conn, "SELECT count(*) FROM executions") == 0
    assert one(conn, "SELECT lease_token FROM region_runs") is None


def test_of_two_different_answers_to_one_question_the_heirs_counts_alone(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start, tmp_path: Path
) -> None:
    """The zombie's comes first, when the heir has already asked: stored, it would contradict the heir's receipt."""
    server.add_rule(fault="none", delay=3600.0, text="the zombie's")
    job_id = submit(db, submission(regions=("US",), questions=("q1",))).job_id
    zombie = start(loopback, "zombie", lease_seconds=600, heartbeat_seconds=300)
    zombie.take((job_id, "US"))
    server.wait_for_calls(1)
    expire(conn)
    with ProviderServer() as other:
        other.add_rule(fault="none", delay=3600.0, text="the heir's")
        (tmp_path / "heir").mkdir()
        heir = start(catalogue(tmp_path / "heir", {"US": {"kind": "openai", "base_url": f"{other.url}/US/v1"}}), "heir")
        heir.take((job_id, "US"))
        other.wait_for_calls(1)
        server.release()
        assert zombie.wait(1) == [(job_id, "US", "fenced")]
        other.release()
        assert heir.wait(1) == [(job_id, "US", "finished")]
    assert query(conn, "SELECT output ->> 'response' AS text FROM answers") == [{"text": "the heir's"}]
    assert one(conn, "SELECT count(*) FROM tries") == 2
    assert query(conn, "SELECT attempt, status FROM executions") == [{"attempt": 2, "status": "completed"}]


def test_a_heartbeat_keeps_the_lease_and_tells_of_its_loss(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="hang")
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(loopback, lease_seconds=60, heartbeat_seconds=0.05)
    engine.take((job_id, "US"))
    server.wait_for_calls(1)
    first = one(conn, "SELECT lease_expires_at FROM region_runs")
    until(lambda: one(conn, "SELECT lease_expires_at FROM region_runs") > first)
    version = one(conn, "SELECT version FROM jobs")
    until(lambda: one(conn, "SELECT lease_expires_at FROM region_runs") > first + timedelta(milliseconds=100))
    assert one(conn, "SELECT version FROM jobs") == version, "a heartbeat does not touch the job"
    conn.execute(b"UPDATE region_runs SET lease_token = gen_random_uuid()")
    assert engine.wait(1) == [(job_id, "US", "fenced")]
    assert engine.runner.busy() == 0
    assert engine.runner.free() == engine.runner.settings.worker.concurrency


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
    shape = {"models": ("m1", "m2"), "questions": ("q1", "q2"), "timeout_seconds": 0.6}
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


# -- stopping --


def test_a_stopping_worker_hands_back_what_has_not_begun_without_burning_the_attempt(
    db: Database, conn: Conn, tmp_path: Path, start: Start
) -> None:
    slow = catalogue(tmp_path, {"US": {"options": {"hang": True}, "max_concurrency": 1}})
    began, waits = submit_many(db, 2, regions=("US",))
    engine = start(slow)
    engine.take((began, "US"))
    until(lambda: one(conn, "SELECT count(*) FROM answers") == 1)
    engine.take((waits, "US"))
    until(lambda: engine.runner.busy() == 2)
    stopping = threading.Thread(target=engine.runner.drain, args=(0.3,))
    at = time.monotonic()
    stopping.start()
    assert engine.wait(1) == [(waits, "US", "released")]
    assert time.monotonic() - at < 1, "handed over at once"
    assert one(conn, "SELECT attempt FROM region_runs WHERE job_id = %s", waits) == 0
    assert one(conn, "SELECT count(*) FROM outbox WHERE job_id = %s", waits) == 2
    assert engine.wait(2)[1] == (began, "US", "released")
    stopping.join()
    assert one(conn, "SELECT attempt FROM region_runs WHERE job_id = %s", began) == 1
    assert one(conn, "SELECT count(*) FROM region_runs WHERE lease_token IS NOT NULL") == 0
    events = query(conn, "SELECT type FROM job_events WHERE job_id = %s ORDER BY seq", waits)
    assert [e["type"] for e in events] == ["submitted", "region_claimed", "region_released", "region_staged"]


def test_a_stopping_worker_lets_running_calls_end_within_the_grace(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="none", delay=3600.0)
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(loopback)
    engine.take((job_id, "US"))
    server.wait_for_calls(1)
    stopping = threading.Thread(target=engine.runner.drain, args=(30,))
    stopping.start()
    until(lambda: engine.runner.free() == 0)
    server.release()
    stopping.join()
    assert engine.wait(1) == [(job_id, "US", "finished")]


def test_a_region_claimed_while_the_worker_stops_is_handed_back_at_once(
    db: Database, conn: Conn, simulated: Catalogue, start: Start
) -> None:
    runs, late = submit_many(db, 2, regions=("US",))
    engine = start(catalogue_that_hangs(simulated))
    engine.take((runs, "US"))
    until(lambda: engine.runner.snapshot().in_flight == 1)
    stopping = threading.Thread(target=engine.runner.drain, args=(30,))
    stopping.start()
    until(lambda: engine.runner.free() == 0)
    engine.take((late, "US"))  # the signal came while the claim was on its way
    assert engine.wait(1) == [(late, "US", "released")]
    assert one(conn, "SELECT attempt FROM region_runs WHERE job_id = %s", late) == 0
    engine.runner.close()
    stopping.join()


# -- failures of our own --


def test_a_result_that_cannot_be_written_fails_alone_in_its_batch(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    """A check of the database refuses one job's results: its neighbours of the same transaction are written."""
    conn.execute(b"ALTER TABLE executions ADD CHECK (job_id <> 'poison') NOT VALID")
    server.add_rule(fault="none", delay=3600.0)
    ids = ["poison", *submit_many(db, 5, regions=("US",))]
    submit(db, submission("poison", regions=("US",)))
    engine = start(loopback)
    engine.take(*((job_id, "US") for job_id in ids))
    server.wait_for_calls(6)
    server.release()
    ended_as = {job_id: outcome for job_id, _, outcome in engine.wait(6)}
    assert ended_as == {job_id: "error" if job_id == "poison" else "finished" for job_id in ids}
    assert one(conn, "SELECT count(*) FROM executions") == 5
    assert one(conn, "SELECT attempt FROM region_runs WHERE job_id = 'poison'") == 1
    assert one(conn, "SELECT lease_token FROM region_runs WHERE job_id = 'poison'") is None
    assert engine.runner.free() == engine.runner.settings.worker.concurrency
    assert engine.runner.snapshot().in_flight == 0


def test_a_run_whose_rows_cannot_be_built_fails_alone(db: Database, tmp_path: Path) -> None:
    """A job without questions, which no API accepts."""
    odd = submit(db, submission(questions=(), regions=("US",))).job_id
    job_id = submit(db, submission(regions=("US",))).job_id
    with running(db, catalogue(tmp_path)) as engine:
        assert engine.run((odd, "US"), (job_id, "US")) == ["error", "finished"]
        assert not engine.runner.broken


def test_a_run_that_cannot_even_begin_uses_its_attempts_up(
    db: Database, conn: Conn, simulated: Catalogue, start: Start
) -> None:
    """What fails before its first call would otherwise be handed back and claimed again for ever."""
    conn.execute(b"ALTER TABLE answers ADD CHECK (job_id <> 'poison') NOT VALID")
    submit(db, submission("poison", regions=("US",)))
    engine = start(simulated)
    assert [engine.run(("poison", "US"))[0] for _ in range(4)] == ["error", "error", "error", "not_claimed"]
    assert one(conn, "SELECT attempt FROM region_runs") == 3
    assert engine.runner.snapshot().in_flight == 0
    check_page(db, "", one(conn, "SELECT clock_timestamp()"), lambda topic, dispatch_id: True)
    assert one(conn, "SELECT error ->> 'code' FROM executions") == "worker_crashed"


def test_a_bug_in_one_unit_does_not_end_the_worker(
    db: Database, conn: Conn, simulated: Catalogue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that is not the database's: the unit's run is released, the others are written."""
    bad, good = submit_many(db, 2, regions=("US",))
    engine = start(simulated)
    ended_unit = engine.runner.scribe.ended

    def broken(unit: Any) -> Ended:
        if unit.run.job_id == bad:
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        return ended_unit(unit)

    monkeypatch.setattr(engine.runner.scribe, "ended", broken)
    assert engine.run((bad, "US"), (good, "US")) == ["error", "finished"]
    monkeypatch.undo()
    assert engine.run((bad, "US")) == ["finished"]


def test_a_provider_that_breaks_gives_its_place_back(
    db: Database, conn: Conn, simulated: Catalogue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(simulated)

    def broken(*_: object, **__: object) -> None:
        raise LookupError("a mistake of ours")

    monkeypatch.setattr(engine.providers, "ask", broken)
    engine.run((job_id, "US"))
    until(lambda: engine.runner.snapshot().in_flight == 0)


def test_a_claim_without_a_connection_raises_and_leaves_its_message_to_the_queue(
    db: Database, conn: Conn, simulated: Catalogue, database_url: str
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    with (
        opened(settings_for(database_url, db_write_timeout_ms=100), "worker", size=1) as small,
        running(small, simulated) as engine,
    ):
        with small.pool.connection(), pytest.raises(PoolTimeout):
            engine.take((job_id, "US"))
        assert engine.outcomes == []
        assert one(conn, "SELECT count(*) FROM region_runs") == 0
        assert engine.run((job_id, "US")) == ["finished"]


def test_an_engine_that_broke_takes_nothing_more(
    db: Database, conn: Conn, simulated: Catalogue, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would claim region after region and run none of them."""
    engine = start(simulated)
    monkeypatch.setattr(Writer, "due", lambda *_: 1 / 0)
    job_id = submit(db, submission(regions=("US",))).job_id
    assert engine.run((job_id, "US")) == ["error"]
    assert engine.runner.snapshot().broken
    assert one(conn, "SELECT lease_token FROM region_runs") is None, "it is handed back all the same"
    assert engine.runner.free() == 0
    with pytest.raises(EngineBroken):
        engine.take((job_id, "US"))


# -- the end of a job --


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


def test_a_release_that_comes_twice_stages_once(db: Database, conn: Conn, simulated: Catalogue, start: Start) -> None:
    """As after a reply that was lost: the verb comes again and finds nothing to hand back."""
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(catalogue_that_hangs(simulated))
    engine.take((job_id, "US"))
    held = until(lambda: engine.runner.snapshot().held)
    for _ in range(2):
        release(db, held)
    assert one(conn, "SELECT count(*) FROM outbox") == 2


def catalogue_that_hangs(regions: Catalogue) -> Catalogue:
    for provider in regions.providers:
        provider.options["hang"] = True
    return regions
