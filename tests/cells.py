"""The cell in which the tests run: that of TEST_SCHEMA, else `public`."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from runner_core.cells import PUBLIC, Cell
from runner_core.secret_files import PROCESSES

CELL = Cell(os.environ.get("TEST_SCHEMA") or PUBLIC)


def in_cell(url: str, schema: str) -> str:
    """The address of this cell in the database of `url`, which names none."""
    return url if schema == PUBLIC else with_option(url, "search_path", schema)


def with_option(url: str, name: str, value: str) -> str:
    """The address with one more session setting in libpq's `options`, which may be there already."""
    option = quote(f"-c{name}={value}")
    if "options=" in url:
        return re.sub(r"(?<=[?&])options=[^&]*", lambda found: f"{found[0]}%20{option}", url)
    return f"{url}{'&' if '?' in url else '?'}options={option}"


def database_of(url: str) -> str:
    """The name of the database in an address."""
    return str(conninfo_to_dict(url)["dbname"])


def at_database(url: str, name: str) -> str:
    """The address of another database of the same server, without options."""
    return f"{url.partition('?')[0].rpartition('/')[0]}/{name}"


@contextmanager
def own_schema(url: str, schema: str, *, migrated: bool) -> Iterator[str]:
    """The owner's URL of a new cell in the database of `url`; its schema and its logins are dropped at the end."""
    from runner_core.migrate import migrate

    cell, made = Cell(schema), in_cell(url, schema)
    try:
        if migrated:
            migrate(made)
        yield made
    finally:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())
            logins = [cell.login(kind) for kind in PROCESSES]
            for (login,) in conn.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [logins]).fetchall():
                conn.execute(f"DROP OWNED BY {login}".encode())
                conn.execute(f"DROP ROLE {login}".encode())
