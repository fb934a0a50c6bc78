"""How values go to PostgreSQL and come back where psycopg's own way costs too much for batches.

psycopg looks at every element of a list to choose its type; each statement here names the type itself
(`%(job_ids)s::text[]`), so an array can be written as text at once.
"""

from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection, DataError
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader


class ArrayDumper(Dumper):
    """A list of str, int, bool, float, datetime or None as PostgreSQL's array literal (manual, 8.15.6)."""

    def dump(self, obj: Any) -> Buffer:
        """Every element that could need it is quoted; the statement's cast says what they are.

        Raises psycopg.DataError for U+0000, which would end the text early, and for other types.
        """
        if obj and set(map(type, obj)) == {str}:  # most are: escaped all at once
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
    raise DataError(f"an array of ours can't hold a {type(value).__name__}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


class TimeLoader(Loader):
    """A timestamptz in the ISO form that our sessions ask for (DateStyle), as a datetime with the offset sent.

    psycopg's own loader believes what the server reported of its DateStyle when the connection was made. In a pipeline
    behind a pooler, where the setting is the transaction's, no report comes before the rows.
    """

    def load(self, data: Buffer) -> datetime:
        """Raises ValueError for what no datetime can be: infinity, years before 1 or after 9999."""
        return datetime.fromisoformat(str(data, "ascii"))


def adapt_times(conn: Connection[Any]) -> None:
    """Prepare a new connection to read times."""
    conn.adapters.register_loader("timestamptz", TimeLoader)


def adapt(conn: Connection[Any]) -> None:
    """Prepare a new connection: lists as text, JSON by orjson, UUIDs as the text that they are sent as."""
    adapt_times(conn)
    conn.adapters.register_dumper(list, ArrayDumper)
    conn.adapters.register_loader("uuid", TextLoader)
    set_json_loads(orjson.loads, conn)
