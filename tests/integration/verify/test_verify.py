"""What `beacon verify` takes for sound, signatures and receipts, and the command."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from runner_cli.invariants import INVARIANTS, Verdict, check
from runner_cli.queued import queued_ids
from runner_core.db import Database
from runner_core.keys import PrivateKey
from runner_core.settings import Settings
from runner_core.signing import sign
from tests.engine import running
from tests.jobs import catalogue, settings_for, submission, submit

Connection = psycopg.Connection[Any]


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


def test_a_table_that_a_migration_rewrote_is_not_taken_for_changed(
    world: None, conn: Connection, broken: Callable[..., dict[str, Verdict]]
) -> None:
    """Migration 7 gave every execution of release 0.1.0 its own xmin."""
    with conn.transaction():
        conn.execute("UPDATE executions SET retry_count = retry_count")
        conn.execute("UPDATE schema_migrations SET version = version WHERE version = 7")
    assert broken() == {}
    conn.execute("UPDATE executions SET retry_count = retry_count WHERE (job_id, region) = ('done', 'US')")
    assert set(broken()) == {"I4"}


def test_a_change_by_hand_during_a_migration_that_rewrites_is_found(
    world: None, conn: Connection, database_url: str, broken: Callable[..., dict[str, Verdict]]
) -> None:
    """Only what the migration's own transaction wrote is excused."""
    with conn.transaction():
        conn.execute("UPDATE executions SET retry_count = retry_count WHERE (job_id, region) <> ('done', 'US')")
        conn.execute("UPDATE schema_migrations SET version = version WHERE version = 7")
        with psycopg.connect(database_url) as hand:
            hand.execute("UPDATE executions SET retry_count = retry_count WHERE (job_id, region) = ('done', 'US')")
    found = broken()
    assert set(found) == {"I4"}
    assert sorted(found["I4"].examples) == [
        ("done", f"US {model} was written again after it was recorded") for model in ("m1", "m2")
    ]


def test_stored_signatures_and_receipts(
    db: Database, conn: Connection, tmp_path: Path, broken: Callable[..., dict[str, Verdict]]
) -> None:
    key = PrivateKey.generate()
    spec = sign({"id": "signed", "version": "v1"}, key)
    raw = json.dumps(spec).encode()
    job = submission("signed", spec=spec, spec_raw=raw, public_key=key.public_key, signature_form="jcs")
    submit(db, job)
    with running(db, catalogue(tmp_path)) as engine:
        engine.runner.row_writer.execution_rows.receipt_key = PrivateKey.generate()
        assert engine.run(("signed", "US"), ("signed", "EU")) == ["finished"] * 2
    assert broken(signatures=True) == {}
    with conn.transaction():
        conn.execute("UPDATE jobs SET spec_raw = %s WHERE id = 'signed'", [raw.replace(b'"v1"', b'"v2"')])
        conn.execute("""UPDATE executions SET output = '{"response": "nicer"}' WHERE region = 'US'""")
        conn.execute("UPDATE executions SET receipt = receipt - 'kid' WHERE region = 'EU'")
    found = broken(signatures=True)
    assert "do not verify" in found["signatures"].examples[0][1]
    assert sorted(sentence for _, sentence in found["receipts"].examples) == [
        "the output of US m1 does not match its receipt",
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
