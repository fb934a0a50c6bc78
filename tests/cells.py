"""The cell in which the tests run: that of TEST_SCHEMA, else `public`."""

import os
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from runner_core.cells import PUBLIC, Cell

CELL = Cell(os.environ.get("TEST_SCHEMA") or PUBLIC)


def in_cell(url: str, schema: str) -> str:
    """The address of this cell in the database of `url`, which names none."""
    return url if schema == PUBLIC else with_option(url, "search_path", schema)


def with_option(url: str, name: str, value: str) -> str:
    """The address with one more session setting in libpq's `options`, which may be there already."""
    option = quote(f"-c{name}={value}")
    if "options=" in url:
        return f"{url}%20{option}"
    return f"{url}{'&' if '?' in url else '?'}options={option}"


def database_of(url: str) -> str:
    """The name of the database in an address."""
    return str(conninfo_to_dict(url)["dbname"])


def at_database(url: str, name: str) -> str:
    """The address of another database of the same server, without options."""
    return f"{url.partition('?')[0].rpartition('/')[0]}/{name}"
