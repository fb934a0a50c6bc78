"""Applies sql/migrations in order, each once, under an advisory lock; a changed file is refused."""

import hashlib
import logging
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg

from runner_core.errors import MigrationError
from runner_core.queries import rows, run

log = logging.getLogger("migrate")


@dataclass(frozen=True)
class Migration:
    """One file: its number, its name, its text and that text's SHA-256."""

    version: int
    name: str
    sql: str
    checksum: str


def migrations() -> list[Migration]:
    """Every migration of this release, in order."""
    found = []
    for file in resources.files("sql").joinpath("migrations").iterdir():
        if file.name.endswith(".sql"):
            text = file.read_text("utf-8")
            number, _, name = file.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, text, hashlib.sha256(text.encode()).hexdigest()))
    return sorted(found, key=lambda m: m.version)


def latest() -> int:
    """The schema version that this release works with."""
    return migrations()[-1].version


def migrate(url: str) -> int:
    """Bring the database to this release's schema; returns how many migrations were applied.

    Each runs in a transaction of its own. Raises MigrationError when an applied file was changed since, when the
    database is newer than this release, or when a migration fails (which then leaves nothing behind).
    """
    with psycopg.connect(
        url, autocommit=True, prepare_threshold=None, application_name="beacon-migrate", connect_timeout=10
    ) as conn:
        applied = 0
        while _apply_next(conn):
            applied += 1
        return applied


def _apply_next(conn: psycopg.Connection[Any]) -> bool:
    """Apply the first migration that is missing; False when none is."""
    with conn.transaction():
        run(conn, "migrations.lock")
        run(conn, "migrations.create")
        migration = next(iter(_missing(conn)), None)
        if migration is None:
            return False
        try:
            conn.execute(migration.sql.encode())
            run(
                conn,
                "migrations.record",
                version=migration.version,
                name=migration.name,
                checksum=migration.checksum,
            )
        except psycopg.Error as error:
            reason = error.diag.message_primary or str(error)
            raise MigrationError(f"migration {migration.version:04d}_{migration.name} failed: {reason}") from error
    log.info("applied migration %04d_%s", migration.version, migration.name)
    return True


def _missing(conn: psycopg.Connection[Any]) -> list[Migration]:
    try:
        applied = {row["version"]: row["checksum"] for row in rows(conn, "migrations.applied")}
    except psycopg.errors.UndefinedColumn:
        raise MigrationError("the table schema_migrations here is another tool's: use a database of its own") from None
    known = {m.version: m for m in migrations()}
    if unknown := sorted(set(applied) - set(known)):
        raise MigrationError(f"the database has migration {unknown[-1]}, which this release does not know: upgrade it")
    if changed := [v for v in applied if applied[v] != known[v].checksum]:
        raise MigrationError(f"migration {changed[0]} was changed after it was applied: migrations are forward only")
    return [m for m in known.values() if m.version not in applied]
