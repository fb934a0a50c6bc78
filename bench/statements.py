"""The benchmark's own statements, bench/sql/*.sql, for each driver that sends them. Parameters are written :name."""

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"
PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


@cache
def text(name: str) -> str:
    """A file's statements without their comments."""
    lines = (FOLDER / f"{name}.sql").read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


@cache
def for_psycopg(name: str) -> bytes:
    """With %(name)s for :name."""
    return PARAMETER.sub(r"%(\1)s", text(name)).encode()


@cache
def for_asyncpg(name: str, *order: str) -> str:
    """With $1, $2, ... for the names in `order`."""
    return PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}", text(name))


def for_pgbench() -> str:
    """The script whose two commits are those that every peer makes."""
    return text("limit").replace(":claim", text("claim").strip()).replace(":finish", text("finish").strip())
