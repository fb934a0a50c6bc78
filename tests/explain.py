"""A named statement as PREPARE and EXECUTE take it, so that it is explained as its session would run it."""

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from runner_core.queries import statements

PARAMETER = re.compile(r"%\((\w+)\)s")


def prepared(name: str, params: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The statement with $1, $2 for its parameters, and their values in parentheses, or nothing where it has none."""
    text = statements()[name].sql.decode()
    names = list(dict.fromkeys(PARAMETER.findall(text)))
    text = PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", text).replace("%%", "%")
    values = ", ".join(sql.Literal(params[n]).as_string() for n in names)
    return text.encode(), f"({values})".encode() if names else b""


def plain(conn: psycopg.Connection[Any]) -> None:
    """Keep psycopg's own prepared statements out of the way: at a rollback it gives up all that are prepared."""
    conn.prepare_threshold = None
    with conn.transaction(force_rollback=True):
        pass
    conn.execute("SELECT 1")


def read(conn: psycopg.Connection[Any], name: str, arguments: bytes) -> dict[str, Any]:
    """EXPLAIN of one run of what is prepared under that name: Plan, Execution Time in milliseconds."""
    explain = b"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE "
    row = conn.execute(explain + name.encode() + arguments).fetchone()
    found: dict[str, Any] = row[0][0] if row else {}
    return found


def buffers(explained: Mapping[str, Any]) -> int:
    """The pages that the plan has read, from memory or from disk."""
    plan = explained["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
