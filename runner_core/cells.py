"""The cell of a process: the schema of its tables, and the names that are derived from the schema.

Several cells may share one database, one PostgreSQL server and one Redis. The address of the database names the cell:
`?options=-csearch_path%3Dcell2`. An address without search_path means the schema `public`, whose names are contracts.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from psycopg import Connection, OperationalError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from runner_core.errors import ConfigError

PUBLIC = "public"
NAME_MISTAKE = (
    "names no schema that a cell can have: search_path must be one name of small letters, digits and _, "
    "at most 40, not `beacon`, and not one of PostgreSQL's own"
)
# PostgreSQL reads a setting's name in any case, and `-` in it as `_`.
_OPTION = re.compile(r"(?:-c\s*|--)search[_-]path=(\S*)", re.IGNORECASE)
# `beacon` would give its logins the names of the logins of `public`.
_SCHEMA = re.compile(r"(?!pg_|information_schema$|beacon$)[a-z_][a-z0-9_]{0,39}")


class AnotherCell(OperationalError):
    """The connection belongs to another cell than its address names."""


@dataclass(frozen=True)
class Cell:
    """One installation: the tables of `schema` with their logins, advisory locks, NOTIFY channels and Redis keys."""

    schema: str = PUBLIC

    def login(self, kind: str) -> str:
        """Return the name of the role of a kind of process: `beacon_api`, or `cell2_api` in the schema cell2."""
        return f"{self._owner}_{kind}"

    def channel(self, name: str) -> str:
        """Return the NOTIFY channel `outbox` or `jobs`. Statements compose the same name from current_schema()."""
        return f"{self._owner}_{name}"

    def queue(self, topic: str) -> str:
        """Return the name of a topic's queue in Redis: `beacon-us`, or `cell2.beacon-us` in the schema cell2."""
        return topic if self.schema == PUBLIC else f"{self.schema}.{topic}"

    def key(self, name: str) -> str:
        """Return the Redis key of something that each cell has once."""
        return name if self.schema == PUBLIC else f"{name}:{self.schema}"

    @property
    def search_path(self) -> str:
        """Return the value of search_path. pg_temp comes last, so that no temporary table can stand for one of ours."""
        return f"{self.schema}, pg_temp"

    @property
    def _owner(self) -> str:
        return "beacon" if self.schema == PUBLIC else self.schema


def cell_mistake(options: str) -> str:
    """Return the mistake in the cell that libpq's `options` name, to be put after the setting's name; else empty."""
    return "" if _SCHEMA.fullmatch(_schema_in(options)) else NAME_MISTAKE


def _schema_in(options: str) -> str:
    """Return the last search_path of libpq's `options`, as it is written there; `public` where there is none."""
    return next(reversed(_OPTION.findall(options)), PUBLIC)


PUBLIC_CELL = Cell()


@cache
def cell_of_options(options: str) -> Cell:
    """Return the cell that libpq's `options` name. Raises ConfigError if the name can't be that of a cell."""
    if mistake := cell_mistake(options):
        raise ConfigError([f"the address of the database {mistake}"])
    return Cell(_schema_in(options))


def cell_of(url: str) -> Cell:
    """Return the cell that the address of a database names. Raises ConfigError if the name can't be that of a cell."""
    try:
        return cell_of_options(str(conninfo_to_dict(url).get("options") or ""))
    except ProgrammingError:  # connecting will report the mistake
        return Cell()


def cell_of_connection(conn: Connection[Any]) -> Cell:
    """Return the cell of an open connection."""
    return cell_of_options(conn.info.options)


def refuse_another_cell(conn: Connection[Any], cell: Cell) -> None:
    """Close a new connection and raise AnotherCell if it does not belong to `cell`, which its address names.

    libpq takes `options` from PGOPTIONS or from a service file where the address has none.
    """
    if _schema_in(conn.info.options) != cell.schema:
        conn.close()
        raise AnotherCell(
            f"connection failed: PGOPTIONS or a service file names another search_path than the address, whose schema "
            f"is {cell.schema}: name the schema in the address"
        )
