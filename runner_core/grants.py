"""The logins' roles and rights: what sql/roles.sql and sql/grants.sql say, compared with what a database has."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from psycopg import Connection

from runner_core.errors import MigrationError
from runner_core.queries import row, rows
from runner_core.redaction import described
from runner_core.sql_files import sql_files

SHOWN = 3
_STATEMENT = re.compile(r"(GRANT|REVOKE) (.+) ON (DATABASE|SCHEMA|TABLE|SEQUENCE|FUNCTION) (.+) (?:TO|FROM) (.+)")
_COMMA = re.compile(r",\s*(?![^(]*\))")  # not one between parentheses
DATABASE = ':"DBNAME"'  # psql's variable


@dataclass(frozen=True)
class Right:
    """One privilege that `login` must have; one that it must not have where `login` is PUBLIC."""

    login: str
    privilege: str
    kind: str
    name: str
    column: str | None = None

    def __str__(self) -> str:
        column = f" ({self.column})" if self.column else ""
        return f"{self.privilege}{column} on {self.kind.lower()} {self.name}".replace(f" {DATABASE}", "")


def logins() -> dict[str, str]:
    """The statement that makes each login, by the login's name."""
    return {statement.split()[2]: statement for statement in _statements("roles.sql")}


@cache
def rights() -> tuple[Right, ...]:
    """Every right of sql/grants.sql, in its order."""
    return tuple(right for statement in _statements("grants.sql") for right in parse(statement))


def parse(statement: str) -> Iterator[Right]:
    """Yield the rights of one GRANT, or of one REVOKE ALL ... FROM PUBLIC. Raises ValueError for anything else."""
    _, privileges, kind, names, logins = _parts(statement)
    for login in _COMMA.split(logins):
        for name in _COMMA.split(names):
            for privilege in _COMMA.split("EXECUTE" if privileges == "ALL" else privileges):
                word, _, columns = privilege.rstrip(")").partition(" (")
                for column in columns.split(", "):
                    yield Right(login, word, kind, name, column or None)


def missing_logins(conn: Connection[Any]) -> list[str]:
    """The logins that the server doesn't have."""
    return [found["login"] for found in rows(conn, "rights.logins", logins=list(logins()))]


def missing_rights(conn: Connection[Any], wanted: Iterable[Right]) -> list[Right]:
    """Those of the rights that the database doesn't give."""
    listed = list(wanted)
    return [listed[found["number"] - 1] for found in rows(conn, "rights.missing", **as_arrays(listed))]


def as_arrays(listed: Iterable[Right]) -> dict[str, list[str | None]]:
    """Rights as the parameters of rights.missing."""
    fields = ("login", "privilege", "kind", "name", "column")
    return {f"{field}s": [getattr(right, field) for right in listed] for field in fields}


def told(missing: list[Right]) -> str:
    """The first of these rights and the number of the others, by login."""
    parts = []
    for login in dict.fromkeys(right.login for right in missing):
        names = [str(right) for right in missing if right.login == login]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        verb = "everybody has" if login == "PUBLIC" else f"{login} lacks"
        parts.append(f"{verb} {', '.join(names[:SHOWN])}{more}")
    return "; ".join(parts)


def make_logins(conn: Connection[Any]) -> list[str]:
    """Make the roles that are missing, and return their names. In a transaction that nothing else is part of.

    Raises MigrationError with the statements for an administrator when this login may not make roles.
    """
    missing = missing_logins(conn)
    for login in missing:
        try:
            with conn.transaction():
                conn.execute(logins()[login].encode())
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            continue  # roles belong to the server: another database's deployment was faster
        except psycopg.errors.InsufficientPrivilege:
            statements = " ".join(f"{logins()[name]};" for name in missing)
            raise MigrationError(
                f"the roles {', '.join(missing)} are missing and this login may not create roles: "
                f"let an administrator run `{statements}`, then run `beacon migrate` again"
            ) from None
    return missing


def give_rights(conn: Connection[Any]) -> int:
    """Run sql/grants.sql when a right is missing; returns how many were. In a transaction that nothing else is part of.

    Raises MigrationError when some are missing still: this login owns neither the tables nor the server.
    """
    missing = missing_rights(conn, rights())
    if not missing:
        return 0
    reason = ""
    try:
        with conn.transaction():
            for statement in _grants(conn):
                conn.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        reason = f" ({described(error)})"
    if left := missing_rights(conn, rights()):
        raise MigrationError(
            f"{told(left)}, and this login may not grant that{reason}: "
            "run `beacon migrate --grants` as the owner of the tables or as a superuser"
        )
    return len(missing)


def keep_rights(conn: Connection[Any]) -> None:
    """Give the rights on what is there, in a migration's own transaction: what it made anew is used meanwhile.

    What is not there yet is passed over, and what can't be given is `give_rights`' to tell.
    """
    for statement in _grants(conn):
        with contextlib.suppress(psycopg.ProgrammingError), conn.transaction():
            conn.execute(statement)


def _grants(conn: Connection[Any]) -> Iterator[bytes]:
    """The statements of sql/grants.sql for this database, one for each thing that they name.

    So the order in which a table's rights are listed does not depend on which migration made the other tables.
    """
    here = row(conn, "rights.database") or {}
    for statement in _statements("grants.sql"):
        verb, privileges, kind, names, logins = _parts(statement)
        for name in _COMMA.split(names):
            whose = f"{'TO' if verb == 'GRANT' else 'FROM'} {logins}"
            yield f"{verb} {privileges} ON {kind} {name.replace(DATABASE, here['name'])} {whose}".encode()


def _parts(statement: str) -> tuple[str, ...]:
    """The verb, the privileges, the kind, the names and the logins of a statement of sql/grants.sql."""
    found = _STATEMENT.fullmatch(statement)
    if found is None or (found[1] == "REVOKE") != (found[5] == "PUBLIC"):
        raise ValueError(f"not a statement that can be compared with a database: {statement}")
    return found.groups()


@cache
def _statements(file: str) -> tuple[str, ...]:
    """The statements of sql/`file`, each in one line and without comments."""
    text = sql_files().joinpath(file).read_text("utf-8")
    lines = [line.partition("--")[0].strip() for line in text.splitlines()]
    return tuple(filter(None, (statement.strip() for statement in " ".join(filter(None, lines)).split(";"))))
