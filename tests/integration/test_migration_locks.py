"""What a migration does while others use the tables: which it reads or rewrites, and how long it waits for them."""

from typing import Any

import psycopg
import pytest

from runner_core.grants import make_logins
from runner_core.migrate import Migration, migrations
from tests.cells import CELL
from tests.jobs import one, query

Conn = psycopg.Connection[Any]
LARGE = ("answers", "executions", "jobs")
# One that runs outside a transaction builds an index: it reads its table while all others use the table.
UNRELEASED = [m for m in migrations() if m.version > 11 and not m.is_outside]
FILES = "SELECT relname, relfilenode FROM pg_class WHERE relname = ANY (%s)"


@pytest.mark.parametrize("migration", UNRELEASED, ids=lambda m: f"{m.version:04d}_{m.name}")
def test_a_migration_neither_reads_nor_rewrites_a_large_table(empty_database_url: str, migration: Migration) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as conn:
        make_logins(conn)
        conn.execute(f"CREATE SCHEMA IF NOT EXISTS {CELL.schema}".encode())
        for earlier in (m for m in migrations() if m.version < migration.version):
            for text in earlier.sql.split(";\n") if earlier.is_outside else [earlier.sql]:
                conn.execute(text.encode())
    # A connection of its own: statistics of earlier transactions of a session may still be counted in the present one.
    with psycopg.connect(empty_database_url) as conn:
        files = query(conn, FILES, list(LARGE))
        conn.execute(migration.sql.encode())
        assert query(conn, FILES, list(LARGE)) == files
        read = "SELECT relname FROM pg_stat_xact_user_tables WHERE relname = ANY (%s) AND seq_scan + idx_scan > 0"
        assert query(conn, read, list(LARGE)) == []
        assert one(conn, "SELECT current_setting('lock_timeout')") != "0", "it would wait for ever, and all with it"
