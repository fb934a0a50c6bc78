"""Compares a database with the roles and privileges of sql/roles.sql and sql/grants.sql, and adds missing ones.

The files name the logins of the schema public. Those of another cell are derived from them.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from psycopg import Connection

from runner_core.cells import PUBLIC, PUBLIC_CELL, Cell, cell_of_connection
from runner_core.errors import MigrationError
from runner_core.queries import row, rows
from runner_core.redaction import described
from runner_core.sql_files import sql_files

SHOWN = 3
_STATEMENT = re.compile(r"(GRANT|REVOKE) (.+) ON (DATABASE|SCHEMA|TABLE|SEQUENCE|FUNCTION) (.+) (?:TO|FROM) (.+)")
_COMMA = re.compile(r",\s*(?![^(]*\))")  # a comma outside parentheses
DATABASE = ':"DBNAME"'  # psql's variable
_LOGIN = re.compile(r"\bbeacon_(\w+)")


@dataclass(frozen=True)
class Right:
    """One privilege that `login` must have. PUBLIC as `login` means: a privilege that PUBLIC must not have."""

    login: str
    privilege: str
    kind: str
    name: str
    column: str | None = None

    def __str__(self) -> str:
        column = f" ({self.column})" if self.column else ""
        return f"{self.privilege}{column} on {self.kind.lower()} {self.name}".replace(f" {DATABASE}", "")


def logins(cell: Cell = PUBLIC_CELL) -> dict[str, str]:
    """Return the statement that creates each login, by the login's name."""
    return {statement.split()[2]: statement for statement in _statements("roles.sql", cell)}


@cache
def rights(cell: Cell = PUBLIC_CELL) -> tuple[Right, ...]:
    """Return every privilege of sql/grants.sql, in the file's order."""
    return tuple(right for statement in _statements("grants.sql", cell) for right in parse(statement))


def parse(statement: str) -> Iterator[Right]:
    """Yield the privileges of one GRANT, or of one REVOKE ALL ... FROM PUBLIC. Raises ValueError for anything else."""
    _, privileges, kind, names, logins = _parts(statement)
    for login in _COMMA.split(logins):
        for name in _COMMA.split(names):
            for privilege in _COMMA.split("EXECUTE" if privileges == "ALL" else privileges):
                word, _, columns = privilege.rstrip(")").partition(" (")
                for column in columns.split(", "):
                    yield Right(login, word, kind, name, column or None)


def missing_logins(conn: Connection[Any]) -> list[str]:
    """Return the logins that do not exist on the server."""
    return [found["login"] for found in rows(conn, "rights.logins", logins=list(logins(cell_of_connection(conn))))]


def missing_rights(conn: Connection[Any], wanted: Iterable[Right]) -> list[Right]:
    """Return the privileges of `wanted` that are wrong in the database."""
    listed, schema = list(wanted), cell_of_connection(conn).schema
    return [listed[found["number"] - 1] for found in rows(conn, "rights.missing", schema=schema, **as_arrays(listed))]


def as_arrays(listed: Iterable[Right]) -> dict[str, list[str | None]]:
    """Return the privileges as the parameters of the statement rights.missing."""
    fields = ("login", "privilege", "kind", "name", "column")
    return {f"{field}s": [getattr(right, field) for right in listed] for field in fields}


def told(missing: list[Right]) -> str:
    """Return a text for an error message: for each login its first missing privilege and the number of the others."""
    parts = []
    for login in dict.fromkeys(right.login for right in missing):
        names = [str(right) for right in missing if right.login == login]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        verb = "everybody has" if login == "PUBLIC" else f"{login} lacks"
        parts.append(f"{verb} {', '.join(names[:SHOWN])}{more}")
    return "; ".join(parts)


def make_logins(conn: Connection[Any]) -> list[str]:
    """Create the missing roles and return their names. Uses its own transaction.

    Raises MigrationError, with the statements for an administrator, if this login may not create roles.
    """
    missing, known = missing_logins(conn), logins(cell_of_connection(conn))
    for login in missing:
        try:
            with conn.transaction():
                conn.execute(known[login].encode())
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            continue  # a concurrent deployment of another database on this server has created the role
        except psycopg.errors.InsufficientPrivilege:
            statements = " ".join(f"{known[name]};" for name in missing)
            raise MigrationError(
                f"the roles {', '.join(missing)} are missing and this login may not create roles: "
                f"let an administrator run `{statements}`, then run `beacon migrate` again"
            ) from None
    return missing


def give_rights(conn: Connection[Any]) -> int:
    """Run sql/grants.sql if a privilege is missing; return how many were missing. Uses its own transaction.

    Raises MigrationError if some are still missing, because this login owns neither the tables nor the server.
    """
    wanted = rights(cell_of_connection(conn))
    missing = missing_rights(conn, wanted)
    if not missing:
        return 0
    reason = ""
    try:
        with conn.transaction():
            for statement in _grants(conn):
                conn.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        reason = f" ({described(error)})"
    except (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedTable):
        pass  # a login without USAGE on the schema does not see what is in it
    if left := missing_rights(conn, wanted):
        raise MigrationError(
            f"{told(left)}, and this login may not grant that{reason}: "
            "run `beacon migrate --grants` as the owner of the tables or as a superuser"
        )
    return len(missing)


def keep_rights(conn: Connection[Any]) -> None:
    """Grant the privileges on all existing objects, in a migration's transaction, because running processes use an
    object as soon as it is committed.

    Objects that do not exist yet are skipped. Privileges that can't be granted are reported later by `give_rights`.
    """
    for statement in _grants(conn):
        with contextlib.suppress(psycopg.ProgrammingError), conn.transaction():
            conn.execute(statement)


def _grants(conn: Connection[Any]) -> Iterator[bytes]:
    """Yield the statements of sql/grants.sql for this database, one statement per object.

    The order of a table's privileges in the catalogue then does not depend on the migrations of other tables.
    """
    here = row(conn, "rights.database") or {}
    for statement in _statements("grants.sql", cell_of_connection(conn)):
        verb, privileges, kind, names, logins = _parts(statement)
        for name in _COMMA.split(names):
            # A cell may have a reserved word as its name, such as `user`.
            quoted = f'"{name}"' if kind == "SCHEMA" else name.replace(DATABASE, here["name"])
            whose = f"{'TO' if verb == 'GRANT' else 'FROM'} {logins}"
            yield f"{verb} {privileges} ON {kind} {quoted} {whose}".encode()


def _parts(statement: str) -> tuple[str, ...]:
    """Return the verb, the privileges, the kind, the names and the logins of a statement of sql/grants.sql."""
    found = _STATEMENT.fullmatch(statement)
    if found is None or (found[1] == "REVOKE") != (found[5] == "PUBLIC"):
        raise ValueError(f"not a statement that can be compared with a database: {statement}")
    return found.groups()


@cache
def _statements(file: str, cell: Cell) -> tuple[str, ...]:
    """Return the statements of sql/`file` for a cell, each in one line and without comments."""
    text = sql_files().joinpath(file).read_text("utf-8")
    text = _LOGIN.sub(lambda found: cell.login(found[1]), text).replace(f"SCHEMA {PUBLIC} ", f"SCHEMA {cell.schema} ")
    lines = [line.partition("--")[0].strip() for line in text.splitlines()]
    return tuple(filter(None, (statement.strip() for statement in " ".join(filter(None, lines)).split(";"))))
