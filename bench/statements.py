"""Reads the benchmark's statements, bench/sql/*.sql, in the form of each driver. In the files, parameters are :name."""

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"
PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


@cache
def text(name: str) -> str:
    """Return a file's statements without comments."""
    lines = (FOLDER / f"{name}.sql").read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


@cache
def for_psycopg(name: str) -> bytes:
    """Return the statements with %(name)s for :name."""
    return PARAMETER.sub(r"%(\1)s", text(name)).encode()


@cache
def for_asyncpg(name: str, *order: str) -> str:
    """Return the statements with $1, $2, ... for the names in `order`."""
    return PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}", text(name))


def for_pgbench() -> str:
    """Return pgbench's script, which makes the same two commits as every peer."""
    return text("limit").replace(":claim", text("claim").strip()).replace(":finish", text("finish").strip())
