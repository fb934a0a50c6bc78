"""`beacon verify`: every invariant broken by hand, one at a time, and seen alone."""
# ruff: noqa: S608 - the statements are put together from this file only

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_cli.invariants import INVARIANTS, Verdict, check
from runner_cli.queued import queued_ids
from runner_core.db import Database
from runner_core.keys import PrivateKey
from runner_core.settings import Settings
from runner_core.signing import sign
from tests.engine import running
from tests.jobs import catalogue, opened, settings_for, submission, submit

Connection = psycopg.Connection[Any]
TESTER = Actor("tester")


@pytest.fixture
def settings(database_url: str) -> Settings:
    return settings_for(database_url)


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    with opened(settings) as db:
        yield db


@pytest.fixture
def world(db: Database, tmp_path: Path) -> None:
    """A job of each kind: done, partly failed, retried, cancelled, running, waiting."""
    regions = ("US", "EU", "ASIA")
    failing = catalogue(tmp_path, {"EU": {"options": {"fail": "http_400"}}})
    for name in ("done", "failed", "retried"):
        submit(db, submission(name, regions=regions, models=("m1", "m2"), questions=("q1", "q2"), min_regions=2))
    with running(db, failing) as engine:
        for name in ("done", "failed", "retried"):
            assert engine.run(*((name, region) for region in regions)) == ["finished"] * 3
    retry_job(db, "retried", Wanted("EU", "m1"), TESTER, "action-1")
    with running(db, catalogue(tmp_path)) as engine:
        assert engine.run(("retried", "EU")) == ["finished"]
    submit(db, submission("cancelled"))
    cancel_job(db, "cancelled", TESTER, "action-2")
    submit(db, submission("waiting"))
    submit(db, submission("running"))
    hanging = catalogue(tmp_path, {"US": {"options": {"hang": True}}})
    with running(db, hanging) as engine:
        engine.take(("running", "US"))
    # Closed in the middle of its call, as a crash would: the lease is live for 15 seconds.


@pytest.fixture
def broken(database_url: str, settings: Settings) -> Callable[..., dict[str, Verdict]]:
    """Returns what is broken, by name."""

    def look(**options: Any) -> dict[str, Verdict]:
        return {v.name: v for v in check(database_url, settings, **options) if v.broken}

    return look


def test_a_world_that_nobody_broke(world: None, broken: Callable[..., dict[str, Verdict]]) -> None:
    assert broken(signatures=True) == {}


TWIN = """CREATE TEMP TABLE twin AS SELECT * FROM {table} WHERE job_id = 'done' LIMIT 1;
    UPDATE twin SET id = nextval('result_ids'); INSERT INTO {table} SELECT * FROM twin"""
UNIT = "job_id = 'done' AND region = 'US' AND model_id = 'm1'"
WAITING_US = "job_id = 'waiting' AND topic = 'beacon-us'"

# The invariant, the job, what is said, and the statements that break it.
BREAKS = [
    ("I1", "waiting", "region US has neither", f"DELETE FROM outbox WHERE {WAITING_US}"),
    ("I1", "ghost", "no such job", "INSERT INTO nonces (public_key, nonce, job_id) VALUES ('k', 'n', 'ghost')"),
    (
        "I2",
        "running",
        "its lease ran out",
        "UPDATE region_runs SET lease_expires_at = now() - interval '46 seconds' WHERE job_id = 'running'",
    ),
    (
        "I2",
        "waiting",
        "neither claimed nor sent again",
        f"UPDATE outbox SET processed_at = now() - interval '46 seconds', dispatch_id = 'd-1' WHERE {WAITING_US}",
    ),
    (
        "I2",
        "waiting",
        "was given up",
        f"UPDATE outbox SET dead_at = now() - interval '46 seconds' WHERE {WAITING_US}",
    ),
    (
        "I2",
        "waiting",
        "its time in the queue was over",
        "UPDATE jobs SET queued_until = now() - interval '46 seconds' WHERE id = 'waiting'",
    ),
    (
        "I2",
        "running",
        "no lease and no message",
        "UPDATE region_runs SET lease_token = NULL, lease_expires_at = NULL WHERE job_id = 'running';"
        "DELETE FROM outbox WHERE job_id = 'running' AND topic = 'beacon-us'",
    ),
    (
        "I3",
        "done",
        "has 2 executions",
        "DROP INDEX executions_job_region_model_uidx;" + TWIN.format(table="executions"),
    ),
    (
        "I3",
        "done",
        "has 2 answers to",
        "ALTER TABLE answers DROP CONSTRAINT answers_pkey;" + TWIN.format(table="answers"),
    ),
    (
        "I3",
        "done",
        "with another answer to",
        """UPDATE answers SET output = jsonb_set(output, '{response}', '"nicer"') WHERE job_id = 'done'
            AND region = 'US' AND model_id = 'm1'""",
    ),
    (
        "I4",
        "done",
        "US m1 was written again",
        f"""UPDATE executions SET output = '{{"response": "nicer"}}' WHERE {UNIT}""",
    ),
    (
        "I4",
        "done",
        "was recorded as completed and is failed",
        f"UPDATE executions SET status = 'failed', error = '{{}}' WHERE {UNIT}",
    ),
    ("I4", "done", "gone without a retry", f"DELETE FROM executions WHERE {UNIT}"),
    (
        "I4",
        "retried",
        "EU m1 was recorded twice",
        """UPDATE job_events SET detail = '{"units": [{"region": "EU", "model_id": "m2"}]}'
            WHERE job_id = 'retried' AND type = 'retry_requested'""",
    ),
    ("I5", "done", "completed and should be failed", "UPDATE jobs SET min_regions = 3 WHERE id = 'done'"),
    ("I5", "done", "failed and should be completed", "UPDATE jobs SET status = 'failed' WHERE id = 'done'"),
    ("I5", "waiting", "running and should be queued", "UPDATE jobs SET status = 'running' WHERE id = 'waiting'"),
    ("I5", "done", "it keeps outcome completed", "UPDATE jobs SET outcome = 'completed' WHERE id = 'done'"),
    ("I5", "done", "no number of completed", "UPDATE jobs SET completed_units = NULL WHERE id = 'done'"),
    (
        "I5",
        "failed",
        "5 failed, 0 cancelled units; its events say",
        "UPDATE jobs SET failed_units = 5 WHERE id = 'failed'",
    ),
    (
        "I5",
        "done",
        "region US has finished without a result of m3",
        """UPDATE jobs SET plan = jsonb_set(plan, '{US}', '["m1", "m2", "m3"]') WHERE id = 'done'""",
    ),
    (
        "I6",
        "running",
        "may be tried 4 times",
        "UPDATE region_runs SET max_attempts = 4 WHERE job_id = 'running'",
    ),
    (
        "I6",
        "running",
        "counts 2 attempts, but its events tell of 1",
        "UPDATE region_runs SET attempt = 2 WHERE job_id = 'running'",
    ),
    ("I7", "done", "its version is", "DELETE FROM job_events WHERE job_id = 'done' AND type = 'region_claimed'"),
    ("I7", "lost", "no job", "INSERT INTO job_events (job_id, seq, type) VALUES ('lost', 1, 'submitted')"),
    ("I7", "done", "its version is", "UPDATE jobs SET version = version + 1 WHERE id = 'done'"),
    (
        "I7",
        "done",
        "has finished without an event",
        "UPDATE job_events SET type = 'region_staged' WHERE job_id = 'done' AND type = 'region_finished'",
    ),
    (
        "I7",
        "done",
        "it has ended, but no event says so",
        "UPDATE job_events SET type = 'region_staged' WHERE job_id = 'done' AND type = 'job_completed'",
    ),
]


@pytest.mark.parametrize(
    ("invariant", "job_id", "sentence", "statements"), BREAKS, ids=[f"{b[0]}-{b[2].replace(' ', '-')}" for b in BREAKS]
)
def test_each_break_is_seen_alone(
    world: None,
    conn: Connection,
    broken: Callable[..., dict[str, Verdict]],
    invariant: str,
    job_id: str,
    sentence: str,
    statements: str,
) -> None:
    conn.execute(statements.encode())
    found = broken()
    assert list(found) == [invariant]
    assert {example[0] for example in found[invariant].examples} == {job_id}
    assert sentence in found[invariant].examples[0][1]


def test_a_retry_allows_more_attempts(world: None, conn: Connection, broken: Callable[..., dict[str, Verdict]]) -> None:
    assert conn.execute(
        "SELECT attempt, max_attempts FROM region_runs WHERE (job_id, region) = ('retried', 'EU')"
    ).fetchone() == (2, 4)
    assert broken() == {}


def test_a_message_that_redis_still_holds_is_alive(
    world: None, conn: Connection, broken: Callable[..., dict[str, Verdict]]
) -> None:
    conn.execute(
        "UPDATE outbox SET processed_at = now() - interval '1 hour', dispatch_id = 'd-1' WHERE job_id = 'waiting'"
    )
    assert broken(queued=["d-1"]) == {}
    assert broken(queued=["d-2"])["I2"].broken == 2
    conn.execute("UPDATE outbox SET processed_at = now() WHERE job_id = 'waiting'")
    assert broken() == {}


def test_what_redis_holds(redis_url: str) -> None:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        assert queued_ids(redis_url) == []
        client.sadd("rq:queues", "rq:queue:beacon-us", "rq:queue:beacon-eu")
        client.rpush("rq:queue:beacon-us", "a", "b")
        client.rpush("rq:queue:beacon-eu:intermediate", "c")
    assert sorted(queued_ids(redis_url)) == ["a", "b", "c"]


def test_retention_may_forget_a_job_but_not_its_youth(conn: Connection, database_url: str, settings: Settings) -> None:
    conn.execute(
        "INSERT INTO nonces (public_key, nonce, job_id, created_at)"
        " VALUES ('k', 'old', 'old', now() - interval '2 days'), ('k', 'new', 'new', now())"
    )
    forgetful = settings_for(database_url, job_retention_days=1)
    assert [v.examples[0][0] for v in check(database_url, forgetful) if v.broken] == ["new"]


def test_tables_from_a_dump_are_not_taken_for_changed(
    world: None, conn: Connection, broken: Callable[..., dict[str, Verdict]]
) -> None:
    """A restore writes each table in one transaction: the rows' own do not tell anything any more."""
    with conn.transaction():
        conn.execute("UPDATE job_events SET actor = actor")
    with conn.transaction():
        conn.execute("UPDATE executions SET retry_count = retry_count")
    assert broken() == {}


def test_stored_signatures_and_receipts(
    db: Database, conn: Connection, tmp_path: Path, broken: Callable[..., dict[str, Verdict]]
) -> None:
    key = PrivateKey.generate()
    spec = sign({"id": "signed", "version": "v1"}, key)
    raw = json.dumps(spec).encode()
    job = submission("signed", spec=spec, spec_raw=raw, public_key=key.public_key, signature_form="jcs")
    submit(db, job)
    with running(db, catalogue(tmp_path)) as engine:
        engine.runner.scribe.receipt_key = PrivateKey.generate()
        assert engine.run(("signed", "US"), ("signed", "EU")) == ["finished"] * 2
    assert broken(signatures=True) == {}
    with conn.transaction():
        conn.execute("UPDATE jobs SET spec_raw = %s WHERE id = 'signed'", [raw.replace(b'"v1"', b'"v2"')])
        conn.execute("""UPDATE executions SET output = '{"response": "nicer"}' WHERE region = 'US'""")
        conn.execute("UPDATE executions SET receipt = receipt - 'kid' WHERE region = 'EU'")
    found = broken(signatures=True)
    assert "do not verify" in found["signatures"].examples[0][1]
    assert sorted(sentence for _, sentence in found["receipts"].examples) == [
        "the output of US m1 is not the one of its receipt",
        "the receipt of EU m1 does not verify: The signature does not match the content.",
    ]


def run_verify(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "DATABASE_URL": url, "BEACON_TEST": "1", "REDIS_URL": ""}
    command = [sys.executable, "-m", "runner_cli", "verify", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_command(world: None, conn: Connection, database_url: str) -> None:
    good = run_verify(database_url)
    assert (good.returncode, good.stderr) == (0, "")
    assert [line.split()[:2] for line in good.stdout.splitlines()] == [[name, "ok"] for name in INVARIANTS]
    conn.execute("UPDATE jobs SET version = version + 1 WHERE id = 'done'")
    bad = run_verify(database_url)
    assert bad.returncode == 1
    assert "I7         1 broken" in bad.stdout
    assert "done: its version is" in bad.stdout
    as_json = run_verify(database_url, "--json")
    assert as_json.returncode == 1
    assert [v["name"] for v in json.loads(as_json.stdout) if v["broken"]] == ["I7"]


def test_a_database_that_can_not_be_asked(empty_database_url: str) -> None:
    empty = run_verify(empty_database_url)
    assert (empty.returncode, empty.stderr) == (
        1,
        "beacon verify: the database has no schema yet: run `beacon migrate`\n",
    )
    gone = run_verify("postgresql://nobody@127.0.0.1:9/none")
    assert gone.returncode == 1
    assert gone.stderr.startswith("beacon verify: the database can't be asked:")
    assert "Traceback" not in gone.stderr
