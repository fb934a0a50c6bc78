"""Durations over 24.8 days, more milliseconds than 32 bits hold: all stood still for a month, or a backup came back."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from outbox_publisher.sweep import take_back
from outbox_publisher.sweeper import Sweeper
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_core.db import Database
from runner_core.sql_files import sql_files
from runner_queue.broker import Broker
from runner_worker.engine.leases import claim
from tests.jobs import one, opened, query, settings_for, submission, submit

Conn = psycopg.Connection[Any]
MONTH_MS = 30 * 24 * 3600 * 1000
# A column or a parameter whose name tells of milliseconds, and seconds that are multiplied.
NARROW = re.compile(
    r"\w*_ms\s+(?:integer|int)\b|\b1000\s*\)*::(?:integer|int)\b|%\(\w*(?:durations?|_ms)\)s::(?:integer|int)\b"
)


@pytest.fixture
def db(database_url: str, redis_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url, redis_url), "publisher") as database:
        yield database


def under_way_for_a_month(db: Database, conn: Conn) -> str:
    """A job whose region was claimed 30 days ago, for the last time that it may be; its worker is gone."""
    job_id = submit(db, submission(regions=("US",))).job_id
    claim(db, [(job_id, "US")], "gone")
    times = (
        "UPDATE region_runs SET max_attempts = attempt, started_at = started_at - interval '30 days',"
        " deadline = deadline - interval '30 days', lease_expires_at = lease_expires_at - interval '30 days'"
        " WHERE job_id = %s",
        "UPDATE jobs SET created_at = created_at - interval '30 days', started_at = started_at - interval '30 days',"
        " updated_at = updated_at - interval '30 days', queued_until = queued_until - interval '30 days' WHERE id = %s",
    )
    for text in times:
        conn.execute(text.encode(), [job_id])
    return job_id


def duration(conn: Conn, job_id: str) -> int:
    return int(one(conn, "SELECT duration_ms FROM executions WHERE job_id = %s", job_id))


def test_no_number_of_milliseconds_has_32_bits(conn: Conn) -> None:
    """In the schema's text, in every statement, and in what the columns of tables and views have become."""
    sql = sql_files()
    texts = {"schema.sql": sql.joinpath("schema.sql").read_text("utf-8")}
    for folder in ("queries", "verify"):
        texts |= {
            file.name: file.read_text("utf-8") for file in sql.joinpath(folder).iterdir() if file.name[-4:] == ".sql"
        }
    assert [(name, found) for name, text in texts.items() for found in NARROW.findall(text)] == []
    columns = (
        "SELECT c.relname || '.' || a.attname AS name, format_type(a.atttypid, NULL) AS type"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v') AND a.attname ~ '_ms$'"
    )
    found = {row["name"]: row["type"] for row in query(conn, columns)}
    assert {"executions.duration_ms", "answers.duration_ms", "region_results.duration_ms"} <= set(found)
    assert set(found.values()) == {"bigint"}


def test_a_region_that_was_under_way_for_a_month_ends_and_holds_nobody_up(db: Database, conn: Conn) -> None:
    old = under_way_for_a_month(db, conn)
    young = submit(db, submission(regions=("US",))).job_id
    claim(db, [(young, "US")], "gone too")
    conn.execute(
        b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s' WHERE job_id = %s", [young]
    )
    assert take_back(db) == 2
    assert one(conn, "SELECT status FROM jobs WHERE id = %s", old) == "failed"
    assert duration(conn, old) >= MONTH_MS
    assert one(conn, "SELECT lease_token IS NULL FROM region_runs WHERE job_id = %s", young)


def test_a_job_that_waited_for_a_month_ends(db: Database, conn: Conn) -> None:
    old = under_way_for_a_month(db, conn)
    conn.execute(
        b"UPDATE region_runs SET lease_token = NULL, lease_expires_at = NULL, max_attempts = 3 WHERE job_id = %s", [old]
    )
    broker = Broker(db.settings)
    Sweeper(db, broker).run_once()
    broker.close()
    assert one(conn, "SELECT error ->> 'code' FROM executions WHERE job_id = %s", old) == "queue_timeout"


def test_a_job_of_a_month_is_cancelled(db: Database, conn: Conn) -> None:
    old = under_way_for_a_month(db, conn)
    cancel_job(db, old, Actor("admin"), "action-1")
    assert one(conn, "SELECT status FROM jobs WHERE id = %s", old) == "cancelled"
    assert duration(conn, old) >= MONTH_MS
