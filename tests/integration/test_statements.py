"""Every named statement against the migrated schema, the schema against its file, and how migrations are applied."""

import re
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_core import migrate as migrations
from runner_core.errors import MigrationError
from runner_core.migrate import Migration, migrate
from runner_core.queries import parse, statements
from runner_core.sql_files import sql_files
from tests.cells import CELL
from tests.jobs import one, opened, query, settings_for, submission, submit
from tests.schema import SCHEMA, dump

Conn = psycopg.Connection[Any]

# EXPLAIN takes no utility statement: two are LISTEN, one creates a table.
NOT_EXPLAINED = {"bell.listen_outbox", "bell.listen_jobs", "migrations.create", "migrations.schema"}

# What a statement that changes a row has in its text; the functions are those of sql/migrations that write.
WRITES = re.compile(
    rb"\bINSERT INTO\b|\bDELETE FROM\b|(?<!FOR )(?<!KEY )\bUPDATE\b(?! OF)"
    rb"|\b(?:close|end|cancel|reopen|label|fill)_\w+\("
)

UNIQUE = {
    "idempotency_keys_key_uidx": ("idempotency_keys", "(key)"),
    "executions_job_region_model_uidx": ("executions", "(job_id, region, model_id)"),
    "jobs_pkey": ("jobs", "(id)"),
    "jobs_cross_region_execution_id_key": ("jobs", "(cross_region_execution_id)"),
    "nonces_pkey": ("nonces", "(public_key, nonce)"),
    "region_runs_pkey": ("region_runs", "(job_id, region)"),
    "answers_pkey": ("answers", "(job_id, region, model_id, question_id, run_no)"),
    "job_events_pkey": ("job_events", "(job_id, seq)"),
    "tries_pkey": ("tries", "(job_id, region, model_id, question_id, run_no, attempt, number)"),
}

STATUSES = {
    "jobs": {"queued", "running", "completed", "failed", "cancelled"},
    "executions": {"completed", "failed", "cancelled"},
    "answers": {"started", "ok", "failed"},
}


@pytest.mark.parametrize("name", [name for name in statements() if name not in NOT_EXPLAINED])
def test_a_statement_can_be_planned_with_every_parameter_null(migrated_conn: Conn, name: str) -> None:
    statement = statements()[name]
    names = re.findall(rb"%\((\w+)\)s", statement.sql)
    migrated_conn.execute(b"EXPLAIN " + statement.sql, {name.decode(): None for name in names} or None)


@pytest.fixture
def migrated_conn(migrated: str) -> Any:
    """A connection to the session's template, for what changes nothing. Closed again: a template is copied alone."""
    with psycopg.connect(migrated, autocommit=True) as conn:
        yield conn


def test_the_exceptions_from_planning_exist() -> None:
    assert statements().keys() >= NOT_EXPLAINED


def test_no_two_statements_share_a_name_and_each_says_why_in_a_comment() -> None:
    names = []
    for file in sql_files().joinpath("queries").iterdir():
        text = file.read_text("utf-8")
        names += [statement.name for statement in parse(text)]
        assert len(re.findall(r"^-- name: ", text, re.M)) == len(
            re.findall(r"^-- name: [a-z_.0-9]+(?: -- writes)?\n-- \S", text, re.M)
        )
    assert len(names) == len(set(names)) == len(statements())


def test_a_statement_keeps_its_name_on_its_first_line_and_is_one_statement() -> None:
    for statement in statements().values():
        first, _, body = statement.sql.decode().partition("\n")
        assert first == f"-- name: {statement.name}"
        assert ";" not in body or re.fullmatch(r"DO \$\$ BEGIN\n[^;]*;\nEND \$\$", body), "one, or a block with one"
        assert "--" not in body


def test_the_statements_that_write_are_known_as_such() -> None:
    assert [s.name for s in statements().values() if s.writes != bool(WRITES.search(s.sql))] == []


def test_what_must_be_unique_is_unique_under_its_name(conn: Conn) -> None:
    found = {
        row["indexname"]: (row["tablename"], row["indexdef"][row["indexdef"].index("(") :])
        for row in query(
            conn, "SELECT * FROM pg_indexes WHERE schemaname = current_schema() AND indexdef LIKE 'CREATE UNIQUE%%'"
        )
    }
    assert found.items() >= UNIQUE.items()


def test_the_outbox_index_holds_only_what_waits(conn: Conn) -> None:
    definition = one(conn, "SELECT indexdef FROM pg_indexes WHERE indexname = 'outbox_unprocessed_idx'")
    assert definition.endswith("btree (id) WHERE ((processed_at IS NULL) AND (dead_at IS NULL))")


@pytest.mark.parametrize("table", STATUSES)
def test_a_status_is_one_of_those_that_are_known(conn: Conn, table: str) -> None:
    sql = "SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass"
    checks = [check["text"] for check in query(conn, sql, table)]
    allowed = [set(re.findall(r"'(\w+)'::text", c)) for c in checks if c.startswith("CHECK ((status = ANY")]
    assert STATUSES[table] in allowed


def test_claiming_reads_the_partial_index_whatever_lies_behind(database_url: str, conn: Conn) -> None:
    with opened(settings_for(database_url)) as db:
        job_id = submit(db, submission()).job_id
    conn.execute(
        b"INSERT INTO outbox (job_id, topic, payload, processed_at) "
        b"SELECT %s, 'beacon-us', '{}', clock_timestamp() FROM generate_series(1, 20000)",
        [job_id],
    )
    conn.execute(
        b"INSERT INTO outbox (job_id, topic, payload) SELECT %s, 'beacon-us', '{}' FROM generate_series(1, 50)",
        [job_id],
    )
    conn.execute(b"ANALYZE outbox")
    sql = statements()["outbox.claim"].sql
    plan = "\n".join(
        row[0] for row in conn.execute(b"EXPLAIN (ANALYZE, BUFFERS) " + sql, {"batch": 100, "left_out": []})
    )
    assert "Index Scan using outbox_unprocessed_idx" in plan
    assert "Sort" not in plan


def test_a_submission_reads_no_table_whole(migrated_conn: Conn) -> None:
    """Its plan is made once, while the tables are small, and kept while they grow."""
    sql = statements()["jobs.submit"].sql
    values = {"jobs": "[]", "queue_timeout_seconds": 1, "key_days": 1, "notify": True}
    plan = "\n".join(row[0] for row in migrated_conn.execute(b"EXPLAIN " + sql, values))
    assert "Insert on jobs" in plan
    assert "Seq Scan" not in plan


def test_the_schema_file_is_what_the_migrations_make(migrated: str) -> None:
    assert SCHEMA.read_text("utf-8") == dump(migrated), "run: python -m tests.schema"


# -- migrations --


def test_migrating_twice_applies_nothing_the_second_time(empty_database_url: str) -> None:
    assert migrate(empty_database_url) == len(migrations.migrations()) == migrations.latest()
    assert migrate(empty_database_url) == 0


def test_migrations_are_numbered_without_a_hole_and_named() -> None:
    known = migrations.migrations()
    assert [m.version for m in known] == list(range(1, len(known) + 1))
    assert all(re.fullmatch(r"[a-z][a-z_]*", m.name) for m in known)


def test_two_deployments_at_once_take_turns(empty_database_url: str) -> None:
    """Each ends with the whole schema, whoever applies which migration: some build indexes outside a transaction."""
    applied: list[int] = []
    together = threading.Barrier(2)

    def deploy() -> None:
        together.wait()
        applied.append(migrate(empty_database_url))

    threads = [threading.Thread(target=deploy) for _ in range(together.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(applied) == together.parties
    assert sum(applied) == migrations.latest()


def test_a_migration_that_was_changed_after_it_was_applied_is_refused(database_url: str, conn: Conn) -> None:
    conn.execute(b"UPDATE schema_migrations SET checksum = 'other' WHERE version = 2")
    with pytest.raises(MigrationError, match="migration 2 was changed after it was applied"):
        migrate(database_url)


def test_a_database_that_is_newer_than_the_release_is_refused(database_url: str, conn: Conn) -> None:
    conn.execute(b"INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")
    with pytest.raises(MigrationError, match="the database has migration 9999, which this release does not know"):
        migrate(database_url)


@pytest.mark.parametrize("table", ["jobs", "executions", "outbox"])
def test_foreign_tables_stop_the_first_migration_with_one_sentence(empty_database_url: str, table: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as conn:
        conn.execute(f"CREATE SCHEMA IF NOT EXISTS {CELL.schema}".encode())
        conn.execute(f"CREATE TABLE {table} (mine integer)".encode())
        with pytest.raises(MigrationError) as refused:
            migrate(empty_database_url)
        assert f"already holds tables of these names: {table};" in refused.value.detail
        assert "\n" not in refused.value.detail
        assert one(conn, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()") <= 2


def test_another_tools_migration_table_stops_with_one_sentence(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as conn:
        conn.execute(f"CREATE SCHEMA IF NOT EXISTS {CELL.schema}".encode())
        conn.execute(b"CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean)")
    with pytest.raises(MigrationError, match=r"another tool owns the table schema_migrations"):
        migrate(empty_database_url)


def test_a_migration_that_fails_leaves_nothing_behind(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Migration(
        len(known := migrations.migrations()) + 1, "broken", "CREATE TABLE half (a int); SELECT 1/0", "x"
    )
    monkeypatch.setattr(migrations, "migrations", lambda: [*known, broken])
    with pytest.raises(MigrationError, match=r"_broken failed: division by zero"):
        migrate(empty_database_url)
    with psycopg.connect(empty_database_url) as conn:
        assert one(conn, "SELECT to_regclass('half')") is None
        assert one(conn, "SELECT max(version) FROM schema_migrations") == len(known)


def test_every_statement_is_used_by_the_code() -> None:
    root = Path(__file__).parent.parent.parent
    folders = ("runner_core", "runner_api", "runner_queue", "runner_worker", "runner_cli", "outbox_publisher")
    code = "\n".join(path.read_text("utf-8") for folder in folders for path in (root / folder).rglob("*.py"))
    assert [name for name in statements() if f'"{name}"' not in code] == []
