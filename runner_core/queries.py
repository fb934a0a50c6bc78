"""Load the statements of sql/queries/*.sql by name, and run them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from psycopg import Connection, Cursor
from psycopg.rows import DictRow, dict_row

from runner_core.sql_files import sql_files

Row = dict[str, Any]
_NAME = re.compile(r"^-- name: (?P<name>[a-z_]+\.[a-z_0-9]+)(?P<writes> -- writes)?$", re.MULTILINE)


@dataclass(frozen=True)
class Statement:
    """One named statement. Its first line is a comment with the name, which pg_stat_activity shows.

    `writes` is the flag in the statement's header. Metrics and audit lines are made for statements that write.
    """

    name: str
    sql: bytes
    writes: bool


def parse(text: str) -> Iterator[Statement]:
    """Yield the statements of one .sql file; the comment lines below a name are for readers and are not sent."""
    marks = list(_NAME.finditer(text))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        block = text[mark.end() : following.start() if following else len(text)]
        lines = [line.strip() for line in block.splitlines()]
        body = "\n".join(line for line in lines if line and not line.startswith("--")).rstrip(";")
        sql = f"-- name: {mark['name']}\n{body}"
        yield Statement(mark["name"], sql.encode(), bool(mark["writes"]))


@cache
def statements() -> Mapping[str, Statement]:
    """Return every statement by name, in the files' order. Raises ValueError when two share a name."""
    found: dict[str, Statement] = {}
    folder = sql_files().joinpath("queries")
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".sql"):
            for statement in parse(file.read_text("utf-8")):
                if statement.name in found:
                    raise ValueError(f"two statements are called {statement.name}")
                found[statement.name] = statement
    return found


@cache
def named(sql: bytes) -> Statement | None:
    """Return the statement with this text; None for BEGIN, COMMIT and the like."""
    return next((s for s in statements().values() if s.sql == sql), None)


def run(conn: Connection[Any], name: str, /, **params: Any) -> Cursor[DictRow]:
    """Send one statement. In a pipeline its result arrives at the next fetch."""
    cursor = conn.cursor(row_factory=dict_row)
    cursor.execute(statements()[name].sql, params or None)
    return cursor


def rows(conn: Connection[Any], name: str, /, **params: Any) -> list[Row]:
    """Run one statement and return all its rows."""
    return run(conn, name, **params).fetchall()


def single(conn: Connection[Any], name: str, /, **params: Any) -> Row:
    """Run one statement that always has exactly one row, and return the row."""
    return run(conn, name, **params).fetchall()[0]


def row(conn: Connection[Any], name: str, /, **params: Any) -> Row | None:
    """Run one statement and return its first row, or None."""
    return run(conn, name, **params).fetchone()
