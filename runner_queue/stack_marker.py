"""The stack marker: publishers keep a key in Redis that names their PostgreSQL database.

Queues have the same names in all stacks whose cells have one name, so two of these on one Redis database would take
and drop each other's messages. The key expires a minute after the owner's publishers have stopped, so that a restored
database can take over.
"""

from typing import Any

import psycopg
from psycopg import Connection
from redis import Redis

from runner_core.cells import Cell
from runner_core.db import Database, retried
from runner_core.queries import Row, rows

KEY = "beacon:stack"
OWNED_SECONDS = 60
NO_IDENTIFIER = (psycopg.errors.UndefinedFunction, psycopg.errors.InsufficientPrivilege)

# KEYS: the marker. ARGV: our identity, the seconds until the marker expires, and our identity before the database moved
# to another server (empty if it did not). Returns the owner's identity, and the reason if the write was refused (a full
# Redis accepts no new key; a Redis that can't save accepts no write).
OWN = """
local owner, kept = redis.call('GET', KEYS[1]), nil
if owner == ARGV[3] then
  owner = false
end
if not owner then
  kept = redis.pcall('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
elseif owner == ARGV[1] then
  kept = redis.pcall('EXPIRE', KEYS[1], ARGV[2])
end
return {owner, type(kept) == 'table' and kept.err or false}
"""


@retried
def identity(db: Database) -> str:
    """Return the identity of this database: its server's identifier, its number on the server, its schema, its name."""
    with db.statement() as conn:
        database = rows(conn, "identity.database")[0]
    try:
        with db.statement(expected=("42883", "42501")) as conn:
            return _identity(database, rows(conn, "identity.server"))
    except NO_IDENTIFIER:
        return _identity(database, [])


def identity_of(conn: Connection[Any]) -> str:
    """Return the identity, read over a connection in autocommit. Raises psycopg.Error, also if there is no schema."""
    database = rows(conn, "identity.database")[0]
    try:
        return _identity(database, rows(conn, "identity.server"))
    except NO_IDENTIFIER:
        return _identity(database, [])


def _identity(database: Row, server: list[Row]) -> str:
    which = server[0]["server"] if server else f"since-{database['since']}"
    return f"{which}/{database['oid']}/{database['schema']} {database['database']}"


def marker_of(identity: str) -> str:
    """Return the key of the marker: each cell has its own."""
    return cell_in(identity).key(KEY)


def cell_in(identity: str) -> Cell:
    """Return the cell of the database that `identity` names."""
    return Cell(identity.partition(" ")[0].rpartition("/")[2])


def another(owner: bytes | None, own: str) -> str:
    """Return a sentence if `owner` is another database than `own`; empty if it is the same or there is no owner."""
    if owner is None or owner == own.encode():
        return ""
    name = owner.decode(errors="replace").partition(" ")[2]
    return (
        f"Redis is in use by the stack of another database (named {name:.63}): give each stack a Redis database of its "
        f"own, the number at the end of REDIS_URL; this Redis database is free {OWNED_SECONDS} s after the "
        "other stack's last publisher ends"
    )


def own(redis: Redis, identity: str, former: str = "") -> tuple[bytes | None, bool]:
    """Set or renew the marker unless another stack owns it. Return its owner, and whether Redis refused the write.

    `former` is the identity of the same stack before its database moved to another server: its marker is replaced.
    """
    owner, refused = redis.eval(OWN, 1, marker_of(identity), identity, OWNED_SECONDS, former)
    return owner if isinstance(owner, bytes) else None, bool(refused)


def owner_in(redis: Redis, identity: str) -> bytes | None:
    """Return the owner of the marker that the stack of `identity` would set; None if there is no marker."""
    owner = redis.get(marker_of(identity))
    return owner if isinstance(owner, bytes) else None
