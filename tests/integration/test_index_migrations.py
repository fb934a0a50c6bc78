"""Migrations that run outside a transaction build their index while jobs are accepted, and may be repeated."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from runner_core.errors import MigrationError
from runner_core.migrate import Migration, latest, migrate, migrations
from tests.cells import database_of
from tests.jobs import one, opened, query, settings_for, submission, submit, until

Conn = psycopg.Connection[Any]
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('jobs_analysis_idx')"
BUILDING = "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()"


@pytest.fixture
def before(database_url: str, conn: Conn) -> str:
    """The URL of a database whose index has not been built."""
    conn.execute(b"DROP INDEX jobs_analysis_idx")
    conn.execute(b"DELETE FROM schema_migrations WHERE name = 'analysis_index'")
    return database_url


@pytest.fixture
def open_submission(database_url: str, conn: Conn) -> Iterator[Conn]:
    """A transaction that writes to `jobs`, and stays open until the test commits it."""
    with opened(settings_for(database_url)) as db:
        job_id = submit(db, submission()).job_id
    with psycopg.connect(database_url) as other:
        other.execute("UPDATE jobs SET updated_at = updated_at WHERE id = %s", [job_id])
        yield other


def deploy(url: str, applied: list[int]) -> threading.Thread:
    thread = threading.Thread(target=lambda: applied.append(migrate(url)))
    thread.start()
    return thread


def test_jobs_are_accepted_while_the_index_is_built(before: str, conn: Conn, open_submission: Conn) -> None:
    applied: list[int] = []
    thread = deploy(before, applied)
    until(lambda: one(conn, BUILDING) == 1)
    with opened(settings_for(before)) as db:
        submit(db, submission())
    assert one(conn, BUILDING) == 1, "the submission did not wait for the index"
    open_submission.commit()
    thread.join()
    assert applied == [1]
    assert one(conn, VALID) is True


def test_two_deployments_build_it_once(before: str, conn: Conn, open_submission: Conn) -> None:
    """The second waits without a snapshot, for which the build would wait in turn."""
    applied: list[int] = []
    threads = [deploy(before, applied) for _ in range(2)]
    until(lambda: one(conn, BUILDING) == 1)
    until(lambda: one(conn, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'beacon-migrate'") == 4)
    open_submission.commit()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [0, 1]
    assert one(conn, VALID) is True


def test_a_build_that_was_broken_off_is_repeated(before: str, conn: Conn) -> None:
    conn.execute(b"CREATE INDEX jobs_analysis_idx ON jobs (completed_at)")
    conn.execute(b"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobs_analysis_idx'::regclass")
    assert migrate(before) == 1
    assert one(conn, VALID) is True
    assert migrate(before) == 0


def test_a_database_may_limit_statements(before: str, conn: Conn, open_submission: Conn) -> None:
    """The build takes as long as it takes."""
    conn.execute(f"ALTER DATABASE {database_of(before)} SET statement_timeout = '200ms'".encode())
    applied: list[int] = []
    thread = deploy(before, applied)
    until(lambda: one(conn, BUILDING) == 1)
    waited = "SELECT clock_timestamp() - query_start > interval '400ms' FROM pg_stat_activity a"
    until(lambda: one(conn, f"{waited} JOIN pg_stat_progress_create_index USING (pid)"))
    open_submission.commit()
    thread.join()
    assert applied == [1]


def test_a_failure_names_the_migration_and_is_not_recorded(
    database_url: str, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "-- outside a transaction\nDROP INDEX CONCURRENTLY IF EXISTS half;\nSELECT 1/0; -- this one fails\n"
    known = [*migrations(), Migration(latest() + 1, "broken", text, "x")]
    monkeypatch.setattr("runner_core.migrate.migrations", lambda: known)
    with pytest.raises(MigrationError, match=r"_broken failed: .*division by zero"):
        migrate(database_url)
    assert query(conn, "SELECT name FROM schema_migrations WHERE name = 'broken'") == []
