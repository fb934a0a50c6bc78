"""Applies sql/migrations in order, each once, under an advisory lock, and refuses a changed file. Then grants the
privileges of sql/grants.sql to the processes' logins, and tests that a process can work.

A migration whose first line is `-- outside a transaction` builds an index while jobs are accepted: CREATE INDEX
CONCURRENTLY, which PostgreSQL refuses in a transaction. Such a file may be run again after it failed midway.
"""

import hashlib
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from runner_core.cells import PUBLIC, cell_of_connection
from runner_core.errors import MigrationError
from runner_core.grants import give_rights, keep_rights, make_logins
from runner_core.preflight import Begin, creators, faults, prove, server, server_faults
from runner_core.queries import rows, run, single
from runner_core.redaction import described
from runner_core.session import apply, connect, transaction
from runner_core.sql_files import sql_files

log = logging.getLogger("migrate")
OUTSIDE = "-- outside a transaction"
_AGAIN_SECONDS = 0.5
_SUPERSEDED = re.compile(r"^-- was: ([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True)
class Migration:
    """One migration file: its number, its name, its text and the text's SHA-256.

    `superseded` are the checksums of earlier texts of the file that lead to the same schema. The file says why it was
    rewritten.
    """

    version: int
    name: str
    sql: str
    checksum: str
    superseded: tuple[str, ...] = ()

    @property
    def is_outside(self) -> bool:
        """Return whether the statements run outside a transaction, one by one."""
        return self.sql.startswith(OUTSIDE)


def migrations() -> list[Migration]:
    """Return every migration of this release, in order."""
    found = []
    for file in sql_files().joinpath("migrations").iterdir():
        if file.name.endswith(".sql"):
            text = file.read_text("utf-8")
            number, _, name = file.name.removesuffix(".sql").partition("_")
            checksum = hashlib.sha256(text.encode()).hexdigest()
            found.append(Migration(int(number), name, text, checksum, tuple(_SUPERSEDED.findall(text))))
    return sorted(found, key=lambda m: m.version)


def latest() -> int:
    """Return the schema version that this release needs."""
    return migrations()[-1].version


def migrate(url: str, *, grants_only: bool = False) -> int:
    """Bring the database to this release's schema, grant the logins' privileges, and test that a process can work.

    Returns the number of applied migrations. Each has its own transaction, so a failed one leaves nothing behind; one
    that runs outside a transaction is run again as a whole.
    `grants_only` applies none. Raises MigrationError if the database can't hold our schema, a login is missing and
    can't be created, an applied file was changed, the database is newer than this release, a migration fails, or
    privileges can't be granted. Raises NotReady if the test fails.
    """
    with connect(url, "migrate") as conn:
        # An index on a large table may take longer than the database's statement_timeout.
        begin = partial(transaction, conn, statement_timeout="0")
        with begin():
            fault = next(server_faults(conn), None)
        if fault:
            raise MigrationError(fault.sentence)
        if grants_only:
            with begin():
                behind = next((f for f in faults(conn, latest(), None) if f.subject == "migrations" and f.blocks), None)
            if behind:
                raise MigrationError(behind.sentence)
        with begin():
            _make_schema(conn)
        with begin():
            run(conn, "migrations.lock")
            made = make_logins(conn)
        for login in made:
            log.info("made the role %s", login)
        applied = 0
        while not grants_only and (_apply_next(conn, begin) or _apply_outside(url, conn, begin)):
            applied += 1
        with begin():
            run(conn, "migrations.lock")
            given = give_rights(conn)
        if given:
            log.info("gave the logins %d rights that were missing", given)
        prove(begin, begin, latest(), None)
        with begin():
            for fault in creators(conn):
                log.warning("%s", fault.sentence)
        return applied


def _make_schema(conn: psycopg.Connection[Any]) -> None:
    """Create the schema of this cell if it is missing. Raises MigrationError if this login may not."""
    if server(conn)["usable"] is not None:
        return
    schema = cell_of_connection(conn).schema
    try:
        with conn.transaction():
            run(conn, "migrations.schema")
        log.info("made the schema %s", schema)
    except (psycopg.errors.DuplicateSchema, psycopg.errors.UniqueViolation):
        pass  # a deployment that runs at the same time has created the schema
    except psycopg.errors.InsufficientPrivilege:
        raise MigrationError(
            f"the database has no schema {schema} and this login may not create one: "
            f'let an administrator run `CREATE SCHEMA "{schema}" AUTHORIZATION {conn.info.user}`, '
            "then run `beacon migrate` again"
        ) from None


def _apply_next(conn: psycopg.Connection[Any], begin: Begin) -> bool:
    """Apply the first missing migration. Return False if none is missing, or the first runs outside a transaction."""
    with begin():
        run(conn, "migrations.lock")
        run(conn, "migrations.create")
        migration = next(iter(_missing(conn)), None)
        if migration is None or migration.is_outside:
            return False
        with _named(migration):
            conn.execute(migration.sql.encode())
            keep_rights(conn)
            _record(conn, migration)
    log.info("applied migration %04d_%s", migration.version, migration.name)
    return True


def _apply_outside(url: str, conn: psycopg.Connection[Any], begin: Begin) -> bool:
    """Apply the first missing migration, which runs outside a transaction. Return False if none is missing."""
    with _alone(url):
        while (migration := _first_missing(conn, begin)) and not migration.is_outside:
            # Another deployment has just applied the one before it, and may also apply this one first.
            if _apply_next(conn, begin):
                return True
        if migration is None:
            return False
        _refuse_pooler(conn, migration)
        log.info(
            "applying migration %04d_%s beside running processes: it waits for transactions that are open",
            *(migration.version, migration.name),
        )
        with _named(migration):
            apply(conn, local=False, statement_timeout="0")
            for statement in _statements(migration.sql):
                conn.execute(statement.encode())
            with begin():
                _record(conn, migration)
    log.info("applied migration %04d_%s", migration.version, migration.name)
    return True


def _refuse_pooler(conn: psycopg.Connection[Any], migration: Migration) -> None:
    """Raise MigrationError before a cell's statements outside a transaction would go through a pooler.

    A pooler may give each of them another session, whose search_path is perhaps that of another cell.
    """
    with transaction(conn):
        schema, pid = cell_of_connection(conn).schema, single(conn, "migrations.backend")["pid"]
    if schema != PUBLIC and pid != conn.info.backend_pid:
        raise MigrationError(
            f"migration {migration.version:04d} builds indexes outside a transaction, and the address of the cell "
            f"{schema} leads to a pooler: run `beacon migrate` with an address that leads to PostgreSQL itself"
        )


def _first_missing(conn: psycopg.Connection[Any], begin: Begin) -> Migration | None:
    with begin():
        return next(iter(_missing(conn)), None)


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Wait until no other deployment builds an index, and keep others out until the end.

    The lock is held by a transaction of a second connection, because a pooler keeps the locks of a session. It is asked
    for again and again: a deployment that waited for it inside a statement would hold a snapshot, the build of the
    index waits until older snapshots are gone, and PostgreSQL sees no deadlock between the two.
    """
    with connect(url, "migrate") as other:
        while True:
            with transaction(other, statement_timeout="0", idle_in_transaction_session_timeout="0"):
                if single(other, "migrations.lead")["leading"]:
                    yield
                    return
            time.sleep(_AGAIN_SECONDS)


@contextmanager
def _named(migration: Migration) -> Iterator[None]:
    """Raise the database's error as a MigrationError with the migration's name."""
    try:
        yield
    except psycopg.Error as error:
        reason = described(error)
        raise MigrationError(f"migration {migration.version:04d}_{migration.name} failed: {reason}") from error


def _record(conn: psycopg.Connection[Any], migration: Migration) -> None:
    """Remember that a migration was applied."""
    run(conn, "migrations.record", version=migration.version, name=migration.name, checksum=migration.checksum)


def _statements(text: str) -> list[str]:
    """Return the statements of a file that runs outside a transaction. None of them has a semicolon or -- inside."""
    code = "\n".join(line.partition("--")[0] for line in text.splitlines())
    return [statement for part in code.split(";") if (statement := part.strip())]


def _missing(conn: psycopg.Connection[Any]) -> list[Migration]:
    try:
        applied = {row["version"]: row["checksum"] for row in rows(conn, "migrations.applied")}
    except psycopg.errors.UndefinedColumn:
        raise MigrationError(
            "another tool owns the table schema_migrations: use a database for Beacon Runner alone"
        ) from None
    known = {m.version: m for m in migrations()}
    if unknown := sorted(set(applied) - set(known)):
        raise MigrationError(
            f"the database has migration {unknown[-1]}, which this release does not know: upgrade the release"
        )
    if changed := [v for v in applied if applied[v] not in (known[v].checksum, *known[v].superseded)]:
        raise MigrationError(
            f"migration {changed[0]} was changed after it was applied: restore its file, "
            "and write changes as a new migration"
        )
    return [m for m in known.values() if m.version not in applied]
