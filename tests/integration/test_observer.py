"""What the database's work leaves in metrics and DB_AUDIT lines: every write, its rows, its ids, and never a value."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from psycopg import errors

from outbox_publisher.relay import publish_batch
from outbox_publisher.retention import remove_old
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_core.db import Database
from runner_core.observer import NOTHING, shown
from runner_core.queries import rows, run, statements
from runner_queue.broker import Broker
from tests.engine import running
from tests.jobs import catalogue, opened, settings_for, submission, submit, submit_many

Conn = psycopg.Connection[Any]
LINE = re.compile(
    r"DB_AUDIT (?P<name>[a-z_.]+) (?P<ids>.*?) ?(?:rows=(?P<rows>\d+)|outcome=(?P<outcome>[a-z_]+)) elapsed_ms=\d+"
    r"(?: sqlstate=(?P<state>\w+))?$"
)


@pytest.fixture
def db(database_url: str, redis_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url, redis_url, db_audit=1), size=4) as database:
        yield database


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> "Audit":
    caplog.set_level(logging.INFO)
    return Audit(caplog)


class Audit:
    """The DB_AUDIT lines since it was last asked."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def __call__(self) -> list[tuple[str, str, int]]:
        """(statement, ids, rows) of each; every line has the one form."""
        lines = [r.getMessage() for r in self._caplog.records if r.name == "db.audit"]
        self._caplog.clear()
        found = []
        for line in lines:
            match = LINE.fullmatch(line)
            assert match, line
            if not match["name"].startswith("bell."):
                found.append((match["name"], match["ids"], int(match["rows"] or 0)))
        return found

    def outcomes(self) -> set[tuple[str, str]]:
        """(statement, outcome) of the writes that rightly changed nothing, and (statement, rows=0) of the others."""
        lines = [LINE.fullmatch(r.getMessage()) for r in self._caplog.records if r.name == "db.audit"]
        self._caplog.clear()
        return {(m["name"], m["outcome"] or "rows=0") for m in lines if m and m["rows"] in (None, "0")}


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_one_jobs_path_is_told_write_by_write_with_its_ids(
    db: Database, conn: Conn, tmp_path: Path, audit: Audit
) -> None:
    job_id = submit(db, submission("job-a", regions=("US",))).job_id
    assert audit() == [("jobs.submit", "job_id=job-a region=US", 1)]
    publish_batch(db, Broker(db.settings))
    assert audit() == [("outbox.mark", "outbox_id=1", 1)]
    with running(db, catalogue(tmp_path)) as engine:
        assert engine.run((job_id, "US")) == ["finished"]
    told = audit()
    assert told[:2] == [
        ("region_runs.claim", "job_id=job-a region=US", 1),
        ("answers.finish", "job_id=job-a region=US model_id=m1 question_id=q1 status=ok", 1),
    ]
    assert told[2:] == [
        ("executions.record", "job_id=job-a region=US model_id=m1 status=completed", 1),
        ("region_runs.close", "job_id=job-a", 1),
        ("jobs.close", "job_id=job-a", 1),
    ]


def test_a_batch_is_told_in_one_line_with_numbers_in_place_of_ids(db: Database, conn: Conn, audit: Audit) -> None:
    submit_many(db, 3, regions=("US", "EU"))
    audit()
    publish_batch(db, Broker(db.settings))
    assert audit() == [("outbox.mark", "outbox_ids=6", 6)]


def test_many_jobs_at_once_are_told_with_as_many_rows_as_one_by_one(
    db: Database, conn: Conn, tmp_path: Path, audit: Audit
) -> None:
    shape: dict[str, Any] = {"regions": ("US", "EU"), "models": ("m1", "m2"), "questions": ("q1", "q2")}
    batch, single = submit_many(db, 5, **shape), submit_many(db, 5, **shape)
    audit()
    told: list[Counter[str]] = []
    with running(db, catalogue(tmp_path)) as engine:
        engine.run(*((job_id, region) for job_id in batch for region in ("US", "EU")))
        told.append(sum((Counter({name: n}) for name, _, n in audit()), Counter()))
        for job_id in single:
            engine.run((job_id, "US"))
            engine.run((job_id, "EU"))
        told.append(sum((Counter({name: n}) for name, _, n in audit()), Counter()))
    assert told[0] == told[1]
    assert told[0]["executions.record"] == 20
    assert told[0]["answers.finish"] == 40


def test_a_pipeline_and_one_statement_after_the_other_are_told_alike(db: Database, conn: Conn, audit: Audit) -> None:
    """In a pipeline a result comes later than its statement: the rows are told all the same."""
    told = []
    for pipeline in (True, False):
        job_id = submit(db, submission()).job_id
        audit()
        with db.transaction(pipeline=pipeline) as own:
            run(own, "jobs.lock", job_ids=[job_id])
            run(own, "jobs.cancel", job_id=job_id, actor="a", action_id="a")
            run(own, "outbox.withdraw", job_id=job_id)
        told.append([(name, n) for name, _, n in audit()])
    assert told[0] == told[1] == [("jobs.cancel", 1), ("outbox.withdraw", 2)]


def test_reading_is_not_told_and_nothing_is_without_db_audit(
    database_url: str, db: Database, conn: Conn, audit: Audit
) -> None:
    with db.transaction() as own:
        rows(own, "jobs.state", job_id="x")
    with opened(settings_for(database_url)) as quiet:
        submit(quiet, submission())
    assert audit() == []


def test_a_write_that_changes_nothing_says_rows_0(db: Database, conn: Conn, audit: Audit) -> None:
    with db.transaction() as own:
        run(own, "processes.leave", process_id="nobody")
    assert audit() == [("processes.leave", "process_id=nobody", 0)]


def test_no_line_says_rows_0_where_nothing_is_wrong(db: Database, conn: Conn, tmp_path: Path, audit: Audit) -> None:
    """A job of two regions, its repeat, its cancellation and the removal of what is old."""
    job = submission("job-a", regions=("US", "EU"))
    submit(db, job)
    assert submit(db, job).replayed
    with running(db, catalogue(tmp_path)) as engine:
        assert engine.run(("job-a", "US")) == ["finished"]
        assert engine.run(("job-a", "US")) == ["not_claimed"]
    cancel_job(db, "job-a", Actor("admin"), "a")
    remove_old(db)
    assert audit.outcomes() == {
        ("jobs.submit", "repeat"),
        ("jobs.close", "not_yet"),
        ("region_runs.claim", "not_claimable"),
        ("outbox.settle", "none_dead"),
        ("retention.processes", "none_due"),
    }


def test_every_outcome_is_of_a_write() -> None:
    writes = {statement.name for statement in statements().values() if statement.writes}
    assert writes >= NOTHING.keys()


def test_every_write_is_timed_under_its_name(db: Database, conn: Conn) -> None:
    before = count("db_write_latency_ms_count", op="jobs.submit")
    submit(db, submission())
    assert count("db_write_latency_ms_count", op="jobs.submit") == before + 1
    assert count("db_write_latency_ms_count", op="jobs.state") == 0


@pytest.mark.parametrize("pipeline", [True, False])
def test_an_error_is_blamed_on_the_statement_that_failed(
    db: Database, conn: Conn, caplog: pytest.LogCaptureFixture, pipeline: bool
) -> None:
    """In a pipeline what was sent after it gets no result either, and is not to blame."""
    caplog.set_level(logging.INFO)
    conn.execute(b"ALTER TABLE idempotency_keys ADD CHECK (key <> 'job:poison')")
    before = count("db_write_errors_total", sqlstate="23514")
    caplog.clear()
    failing = {"process_id": "p", "kind": "ghost", "region": None, "host": "h", "pid": 1, "version": "1"}
    with pytest.raises(errors.CheckViolation):
        fail_in_the_middle(db, pipeline, failing | dict.fromkeys(("regions_sha", "concurrency", "providers")))
    lines = [r.getMessage() for r in caplog.records if r.name == "db.audit"]
    told = [(m["name"], m["rows"], m["state"]) for m in map(LINE.fullmatch, lines) if m]
    assert told == [("processes.leave", "0", None), ("processes.beat", "0", "23514")]
    assert count("db_write_errors_total", sqlstate="23514") == before + 1
    [failed] = [r for r in caplog.records if r.getMessage().startswith("statement failed")]
    assert failed.levelno == logging.ERROR
    assert "processes.beat process_id=p kind=ghost sqlstate=23514" in failed.getMessage()


def fail_in_the_middle(db: Database, pipeline: bool, failing: dict[str, Any]) -> None:
    with db.transaction(pipeline=pipeline) as own:
        run(own, "processes.leave", process_id="first")
        run(own, "processes.beat", **failing)
        run(own, "processes.leave", process_id="third")


def test_what_is_expected_is_neither_counted_nor_logged(
    db: Database, conn: Conn, caplog: pytest.LogCaptureFixture
) -> None:
    before = count("db_write_errors_total", sqlstate="23505")
    job = submission()
    submit(db, job)
    caplog.set_level(logging.INFO)
    assert submit(db, job).replayed
    assert count("db_write_errors_total", sqlstate="23505") == before
    assert [r for r in caplog.records if r.levelno >= logging.WARNING and r.name.startswith("db")] == []


def test_no_value_ever_gets_into_a_line(
    db: Database, conn: Conn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A prompt, an answer, a key, a nonce, a message for the queue: ids and statuses are all that is told."""
    caplog.set_level(logging.DEBUG)
    secret = "s3cret"
    job = submission(questions=(f"q {secret}",), public_key=f"key {secret}", nonce=f"nonce {secret}", regions=("US",))
    job_id = submit(db, job, key=f"header {secret}").job_id
    publish_batch(db, Broker(db.settings))
    with running(db, catalogue(tmp_path)) as engine:
        engine.run((job_id, "US"))
    other = submit(db, submission()).job_id
    cancel_job(db, other, Actor("admin"), "a")
    audited = [r.getMessage() for r in caplog.records if r.name == "db.audit"]
    # A question's id is an id, whatever was written there; its text, like every other value, is not told.
    assert [line for line in audited if secret in line.replace(f"question_id=q {secret}", "")] == []
    assert not any("Simulated answer" in line or "{" in line for line in audited)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"job_id": "j", "region": None, "spec": "secret"}, "job_id=j"),
        ({"job_ids": ["a", "a"], "regions": ["US", "EU"]}, "job_id=a regions=2"),
        ({"job_id": ["a", "b"], "status": ["ok", "ok"], "output": ["secret"]}, "job_ids=2 status=ok"),
        ({"ids": [1, 2, 3], "dispatch_ids": ["x"]}, "outbox_ids=3"),
        ({"job_ids": []}, "job_ids=0"),
        ({}, ""),
    ],
)
def test_ids_are_shown_by_name_or_by_number(params: dict[str, Any], text: str) -> None:
    assert shown(params) == text
