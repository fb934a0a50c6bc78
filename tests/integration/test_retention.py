"""What has served its time goes in batches and alone, and what is left behind slows nobody's claim."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbox_publisher import retention
from outbox_publisher.retention import BATCH, JOBS_BATCH, nothing_aside, remove_old
from runner_core.db import Database
from runner_core.queries import statements
from tests.cells import CELL
from tests.engine import running
from tests.integration.api_client import as_role
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, submit_many

Conn = psycopg.Connection[Any]
OF_A_JOB = ("idempotency_keys", "outbox", "job_events", "region_runs", "executions", "answers")
ROWS = b"""
INSERT INTO outbox (job_id, topic, payload, processed_at, dispatch_id)
SELECT %s, 'beacon-us', '{}', clock_timestamp() - make_interval(days => %s), md5(n::text)
  FROM generate_series(1, %s) AS n
"""


@pytest.fixture
def settings(database_url: str) -> dict[str, Any]:
    """As the publisher runs: under its own login, with the audit that shows each batch."""
    return {"database_url": as_role(database_url, CELL.login("publisher")), "db_audit": 1}


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """The owner's, to make what is there."""
    with opened(settings_for(database_url)) as db:
        yield db


def finished(db: Database, folder: Path, *job_ids: str) -> None:
    """Jobs that have run to their end."""
    for job_id in job_ids:
        submit(db, submission(job_id, regions=("US",), public_key="key", nonce=job_id))
    with running(db, catalogue(folder)) as engine:
        assert engine.run(*((job_id, "US") for job_id in job_ids)) == ["finished"] * len(job_ids)


def clean(settings: dict[str, Any], **more: Any) -> int:
    """One pass under the publisher's login; the number of rows that went."""
    with opened(settings_for(**(settings | more))) as db:
        return remove_old(db)


def batches(caplog: pytest.LogCaptureFixture, name: str) -> list[int]:
    """How many rows each of this statement's transactions removed."""
    return [int(found[1]) for r in caplog.messages if (found := re.match(rf"DB_AUDIT {name} .*rows=(\d+)", r))]


def test_old_messages_of_ended_jobs_go_in_batches_and_everything_else_stays(
    db: Database, conn: Conn, tmp_path: Path, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    finished(db, tmp_path, "ended")
    submit(db, submission("open", regions=("US",)))
    conn.execute(b"DELETE FROM outbox WHERE job_id = 'ended'")
    conn.execute(ROWS, ["ended", 8, 2 * BATCH + 7])
    conn.execute(ROWS, ["ended", 6, 11])  # young
    conn.execute(ROWS, ["open", 8, 13])  # the sweeper still asks for them
    conn.execute(
        b"INSERT INTO outbox (job_id, topic, payload, created_at) VALUES ('ended', 'beacon-us', '{}', 'epoch')"
    )
    with caplog.at_level(logging.INFO, "db.audit"):
        assert clean(settings) == 2 * BATCH + 7
    assert batches(caplog, "retention.outbox") == [BATCH, BATCH, 7]
    left = query(conn, "SELECT job_id, processed_at IS NULL AS waits, count(*) AS n FROM outbox GROUP BY 1, 2")
    assert {(row["job_id"], row["waits"], row["n"]) for row in left} == {
        ("ended", False, 11),
        ("ended", True, 1),
        ("open", False, 13),
        ("open", True, 1),
    }


def test_keys_nonces_and_silent_processes_go_at_their_age(
    db: Database, conn: Conn, tmp_path: Path, settings: dict[str, Any]
) -> None:
    finished(db, tmp_path, "old", "young")
    conn.execute(b"UPDATE idempotency_keys SET expires_at = clock_timestamp() WHERE job_id = 'old'")
    conn.execute(b"UPDATE nonces SET created_at = clock_timestamp() - interval '7 days 1 second' WHERE job_id = 'old'")
    for name, minutes in (("silent", 61), ("seen", 59)):
        conn.execute(
            b"INSERT INTO processes (id, kind, host, pid, version, seen_at) "
            b"VALUES (%s, 'worker', 'h', 1, 'v', clock_timestamp() - make_interval(mins => %s))",
            [name, minutes],
        )
    assert clean(settings) == 3
    assert [row["job_id"] for row in query(conn, "SELECT job_id FROM idempotency_keys")] == ["young"]
    assert [row["job_id"] for row in query(conn, "SELECT job_id FROM nonces")] == ["young"]
    assert one(conn, "SELECT count(*) FROM processes WHERE id = 'silent'") == 0
    assert one(conn, "SELECT count(*) FROM processes WHERE id = 'seen'") == 1


@pytest.mark.parametrize("table", ["outbox", "idempotency_keys", "nonces", "processes"])
def test_a_removal_that_fails_keeps_none_of_the_others_from_being_made(
    db: Database, conn: Conn, tmp_path: Path, settings: dict[str, Any], table: str
) -> None:
    finished(db, tmp_path, "ended", "old")
    conn.execute(b"DELETE FROM outbox")
    conn.execute(ROWS, ["ended", 8, 1])
    conn.execute(b"DELETE FROM idempotency_keys WHERE job_id = 'old'")
    conn.execute(b"UPDATE idempotency_keys SET expires_at = clock_timestamp()")
    conn.execute(b"UPDATE nonces SET created_at = clock_timestamp() - interval '8 days' WHERE job_id = 'ended'")
    conn.execute(b"UPDATE jobs SET completed_at = clock_timestamp() - interval '2 days' WHERE id = 'old'")
    conn.execute(
        b"INSERT INTO processes (id, kind, host, pid, version, seen_at) VALUES ('p', 'worker', 'h', 1, 'v', 'epoch')"
    )
    conn.execute(f"REVOKE SELECT ON {table} FROM {CELL.login('publisher')}".encode())  # noqa: S608 - our names
    assert clean(settings, job_retention_days=1) == 4
    conn.execute(f"GRANT SELECT ON {table} TO {CELL.login('publisher')}".encode())
    assert clean(settings, job_retention_days=1) == 1


def test_a_job_goes_with_everything_that_is_its_own_when_its_days_are_over_and_never_unasked(
    db: Database, conn: Conn, tmp_path: Path, settings: dict[str, Any]
) -> None:
    finished(db, tmp_path, "old", "young")
    submit(db, submission("open", regions=("US",)))
    conn.execute(b"UPDATE jobs SET created_at = created_at - interval '9 years'")
    conn.execute(b"UPDATE jobs SET completed_at = completed_at - interval '2 days' WHERE id = 'old'")
    before = rows_of(conn)
    assert all(counts["old"] for counts in before.values())

    assert clean(settings) == 0
    assert rows_of(conn) == before

    assert clean(settings, job_retention_days=3) == 0
    assert clean(settings, job_retention_days=1) == 1
    assert [row["id"] for row in query(conn, "SELECT id FROM jobs ORDER BY id")] == ["open", "young"]
    assert rows_of(conn) == {table: {**counts, "old": 0} for table, counts in before.items()}
    # Its nonce outlives it: the same signed job must not be accepted a second time.
    assert one(conn, "SELECT count(*) FROM nonces WHERE job_id = 'old'") == 1


def test_what_was_computed_from_a_job_goes_with_it_and_embeddings_by_their_age(
    db: Database, conn: Conn, tmp_path: Path, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A stored result of an embedding may have a sentence of an answer: it goes as jobs go, and never unasked."""
    finished(db, tmp_path, "old", "young")
    conn.execute(b"UPDATE jobs SET completed_at = completed_at - interval '2 days' WHERE id = 'old'")
    conn.execute(
        b"INSERT INTO answer_labels (answer_id, job_id, category, source, actor) "
        b"SELECT id, job_id, 'answer', 'human', 'somebody' FROM answers"
    )
    conn.execute(
        b"INSERT INTO analyses (job_id, method, job_version, input_sha256, result, elapsed_ms) "
        b"SELECT id, 'm', version, sha256(convert_to(id, 'UTF8')), '{}', 1 FROM jobs"
    )
    conn.execute(
        b"INSERT INTO embeddings (text_sha256, model, result, created_at) "
        b"SELECT sha256(n::text::bytea), 'a model', '{}', "
        b"clock_timestamp() - make_interval(days => CASE WHEN n <= %s THEN 2 ELSE 0 END) "
        b"FROM generate_series(1, %s) AS n",
        [BATCH + 7, BATCH + 10],
    )
    assert clean(settings) == 0
    with caplog.at_level(logging.INFO, "db.audit"):
        assert clean(settings, job_retention_days=1) == 1 + BATCH + 7
    assert batches(caplog, "retention.embeddings") == [BATCH, 7]
    for table in ("analyses", "answer_labels"):
        assert {row["job_id"] for row in query(conn, f"SELECT job_id FROM {table}")} == {"young"}  # noqa: S608 - our names
    assert one(conn, "SELECT count(*) FROM embeddings WHERE created_at > clock_timestamp() - interval '1 day'") == 3
    assert one(conn, "SELECT count(*) FROM embeddings") == 3


SLOW = b"""
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN OLD; END $$;
CREATE TRIGGER slow BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION slow()
"""


def test_jobs_that_take_too_long_together_go_by_halves(
    db: Database, conn: Conn, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A hundred of them take two seconds, where a statement may take half of one."""
    submit_many(db, JOBS_BATCH, regions=("US",))
    conn.execute(b"UPDATE jobs SET status = 'failed', completed_at = clock_timestamp() - interval '2 days'")
    conn.execute(SLOW)
    with (
        caplog.at_level(logging.INFO, "db.audit"),
        opened(settings_for(**settings, job_retention_days=1, db_write_timeout_ms=500)) as strict,
    ):
        passes = list(iter(lambda: remove_old(strict), 0))
    assert sum(passes) == JOBS_BATCH
    assert one(conn, "SELECT count(*) FROM jobs") == 0
    assert max(batches(caplog, "retention.jobs")) <= JOBS_BATCH // 4
    assert "ERROR" not in {record.levelname for record in caplog.records}, "a smaller batch is the answer"


def test_no_job_is_set_aside_for_a_lock_on_a_table_that_it_reaches(
    database_url: str, db: Database, conn: Conn, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a batch has been halved so often that it is one row."""
    monkeypatch.setattr(retention, "JOBS_BATCH", 4)
    monkeypatch.setattr(retention, "PASS_SECONDS", 60.0)
    submit_many(db, 4, regions=("US",))
    conn.execute(b"UPDATE jobs SET status = 'failed', completed_at = clock_timestamp() - interval '2 days'")
    asides = nothing_aside()
    with (
        opened(settings_for(**settings, job_retention_days=1, db_write_timeout_ms=500)) as hurried,
        psycopg.connect(database_url) as other,
    ):
        hurried.pool.wait(60)
        other.execute(b"LOCK TABLE job_events IN SHARE MODE")
        assert remove_old(hurried, asides) == 0
    with opened(settings_for(**settings, job_retention_days=1)) as patient:
        assert remove_old(patient, asides) == 4, "none is left out"


def test_a_pass_gives_each_table_its_time_and_leaves_the_rest_to_the_next(
    db: Database, conn: Conn, tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    monkeypatch.setattr(retention, "PASS_SECONDS", 0.0)
    finished(db, tmp_path, "ended")
    conn.execute(b"DELETE FROM outbox")
    conn.execute(ROWS, ["ended", 8, 25])
    assert [clean(settings) for _ in range(4)] == [10, 10, 5, 0]


def rows_of(conn: Conn) -> dict[str, dict[str, int]]:
    """How many rows each job has in each table."""
    counts = {}
    for table in OF_A_JOB:
        found = query(conn, f"SELECT job_id, count(*) AS n FROM {table} GROUP BY 1")  # noqa: S608 - our names
        counts[table] = {"old": 0} | {str(row["job_id"]): int(row["n"]) for row in found}
    return counts


def test_a_million_sent_messages_do_not_make_a_claim_read_more(db: Database, conn: Conn, tmp_path: Path) -> None:
    finished(db, tmp_path, "ended")
    submit(db, submission("open", regions=("US",)))
    waiting = (
        b"INSERT INTO outbox (job_id, topic, payload) SELECT 'open', 'beacon-us', '{}' FROM generate_series(1, 200)"
    )
    conn.execute(b"DELETE FROM outbox")
    conn.execute(waiting)
    conn.execute(b"ANALYZE outbox")
    empty = claim(conn)

    conn.execute(b"DELETE FROM outbox")
    # Foreign keys are not what is tried here, and a million look-ups would take most of the time.
    conn.execute(b"SET session_replication_role = replica")
    conn.execute(ROWS, ["ended", 1, 1_000_000])
    conn.execute(b"RESET session_replication_role")
    conn.execute(waiting)
    conn.execute(b"ANALYZE outbox")
    full = claim(conn)

    assert empty["rows"] == full["rows"] == 100
    assert "outbox_unprocessed_idx" in full["indexes"]
    assert "Seq Scan" not in full["nodes"]
    # The rows that wait are all that is read: their pages and the way down an index that holds nothing else.
    assert full["blocks"] <= 1.5 * empty["blocks"], (full, empty)


def claim(conn: Conn) -> dict[str, Any]:
    """What claiming a hundred rows reads: blocks (from memory or from disk, it is the same work), the index."""
    with conn.transaction(force_rollback=True):
        sql = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statements()["outbox.claim"].sql
        row = conn.execute(sql, {"batch": 100, "left_out": []}).fetchone()
    assert row
    plan = row[0][0]["Plan"]
    return {
        "blocks": plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        "rows": plan["Actual Rows"],
        "nodes": set(re.findall(r'"Node Type": "([^"]+)"', json.dumps(plan))),
        "indexes": set(re.findall(r'"Index Name": "(\w+)"', json.dumps(plan))),
    }
