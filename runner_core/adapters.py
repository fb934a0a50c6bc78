"""Converts values to and from PostgreSQL where psycopg's own conversion is too slow for batches.

psycopg inspects every element of a list to choose the array's type. Here each statement names the type itself
(`%(job_ids)s::text[]`), so an array can be written as text without inspection.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import Connection, DataError
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader


class ArrayDumper(Dumper):
    """Writes a list of str, int, bool, float, datetime, UUID or None as PostgreSQL's array literal (manual, 8.15.6)."""

    def dump(self, obj: Any) -> Buffer:
        """Return the array literal. Texts, times and UUIDs are quoted; the statement's cast gives the elements' type.

        Raises psycopg.DataError for U+0000, which would end the text early, and for other types.
        """
        if obj and set(map(type, obj)) == {str}:  # the usual case: escape all elements at once
            text = "\0".join(obj)
            nuls = text.count("\0") - len(obj) + 1
            literal = '{"' + _escaped(text).replace("\0", '","') + '"}'
        else:
            literal = "{" + ",".join(map(_element, obj)) + "}"
            nuls = literal.count("\0")
        if nuls:
            raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return literal.encode()


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f'"{_escaped(value)}"'
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, datetime):
        return f'"{value.isoformat()}"'
    if isinstance(value, UUID):
        return f'"{value}"'
    raise DataError(f"an array of ours can't hold a {type(value).__name__}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


class TimeLoader(Loader):
    """Reads a timestamptz in the ISO format, which our sessions set by DateStyle, as a datetime with its offset.

    psycopg's own loader uses the DateStyle that the server reported last. Behind a pooler DateStyle is set for each
    transaction, and in a pipeline the server's report arrives after the loader was chosen.
    """

    def load(self, data: Buffer) -> datetime:
        """Return the datetime. Raises ValueError for infinity and for years before 1 or after 9999."""
        return datetime.fromisoformat(str(data, "ascii"))


def adapt_times(conn: Connection[Any]) -> None:
    """Prepare a new connection to read times."""
    conn.adapters.register_loader("timestamptz", TimeLoader)


def adapt(conn: Connection[Any]) -> None:
    """Prepare a new connection: lists are written as text, JSON is read by orjson, UUIDs are read as text."""
    adapt_times(conn)
    conn.adapters.register_dumper(list, ArrayDumper)
    conn.adapters.register_loader("uuid", TextLoader)
    set_json_loads(orjson.loads, conn)
