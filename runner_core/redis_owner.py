"""Whose Redis it is: publishers keep a key there that names their PostgreSQL database.

Queues have the same names in every stack, so two stacks on one Redis database would take and drop each other's
messages. The key ends by itself when its owner's publishers are gone for a minute: a restored database takes over.
"""

import logging
import time
from typing import Any

import psycopg
from psycopg import Connection
from redis import Redis
from redis.exceptions import RedisError

from runner_core.db import Database, retried
from runner_core.errors import ConfigError, NotReady
from runner_core.queries import Row, rows
from runner_core.redis_server import inspect
from runner_core.telemetry import REDIS_UNFIT

log = logging.getLogger("redis")
KEY = "beacon:stack"
OWNED_SECONDS = 60
LOOK_SECONDS = 5.0
INSPECT_SECONDS = 60.0
AGAIN_SECONDS = 0.5
FOREIGN_SECONDS = LOOK_SECONDS + 1  # the refused come after the owner, who sets an emptied Redis' key again
UNKNOWN = "Redis has not yet said which stack it belongs to"
REASONS = ("another_stack", "cluster", "commands", "login", "replica")
NO_IDENTIFIER = (psycopg.errors.UndefinedFunction, psycopg.errors.InsufficientPrivilege)

# KEYS: the key; ARGV: our identity, and for how many seconds it holds. Returns the owner's identity, and why the key
# was refused: a full Redis takes no new key, one that can't save renews none.
OWN = """
local owner, kept = redis.call('GET', KEYS[1]), nil
if not owner then
  kept = redis.pcall('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
elseif owner == ARGV[1] then
  kept = redis.pcall('EXPIRE', KEYS[1], ARGV[2])
end
return {owner, type(kept) == 'table' and kept.err or false}
"""


@retried
def identity(db: Database) -> str:
    """Return what names this database among all: its server's identifier, its number there and its schema."""
    with db.statement() as conn:
        database = rows(conn, "identity.database")[0]
    try:
        with db.statement(expected=("42883", "42501")) as conn:
            return _identity(database, rows(conn, "identity.server"))
    except NO_IDENTIFIER:
        return _identity(database, [])


def identity_of(conn: Connection[Any]) -> str:
    """Return the same by a connection in autocommit. Raises psycopg.Error, where there is no schema too."""
    database = rows(conn, "identity.database")[0]
    try:
        return _identity(database, rows(conn, "identity.server"))
    except NO_IDENTIFIER:
        return _identity(database, [])


def _identity(database: Row, server: list[Row]) -> str:
    which = server[0]["server"] if server else f"since-{database['since']}"
    return f"{which}/{database['oid']}/{database['schema']} {database['database']}"


def another(owner: bytes | None, own: str) -> str:
    """Say in a sentence that `owner` is another database than `own`; empty when it is not, or nobody is."""
    if owner is None or owner == own.encode():
        return ""
    name = owner.decode(errors="replace").partition(" ")[2]
    return (
        f"Redis is in use by the stack of another database (named {name:.63}): give each stack a Redis database of its "
        f"own, the number at the end of REDIS_URL; this one is free {OWNED_SECONDS} s after the other's last publisher"
    )


class Guard:
    """Whether this process may use its Redis. `look` asks beside the work; `foreign` is the answer so far.

    `uses` are the commands that the login needs. A publisher owns (`owns`), a worker only looks.
    """

    def __init__(self, redis: Redis, own: str, uses: dict[str, tuple[str, ...]], *, owns: bool) -> None:
        self._redis, self._own, self._uses, self._owns = redis, own, uses, owns
        self._next_look = self._next_inspection = 0.0
        self._told: dict[str, str] = {}
        self._eviction = ""
        self.foreign = UNKNOWN
        for reason in REASONS:
            REDIS_UNFIT.labels(reason).set(0)

    def admit(self, seconds: float) -> None:
        """Return when work may begin, also when Redis gives no answer or refuses to: it may come later.

        Raises ConfigError for a server that nothing can work with, NotReady when another stack's claim outlasts
        `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                if unfit := self._inspect():
                    raise ConfigError(unfit.values())
                self._ask_owner()
            except RedisError as error:  # no answer, or a refusal that may be over soon
                log.warning("Redis can't be asked whose it is, and is asked again: %s", error)
                return
            if not self.foreign:
                return
            if time.monotonic() + AGAIN_SECONDS > deadline:
                raise NotReady(self.foreign)
            time.sleep(AGAIN_SECONDS)

    def look(self) -> str:
        """Ask again when it is time to, log what has changed, and return `foreign`. Redis may be away meanwhile."""
        now = time.monotonic()
        try:
            if now >= self._next_inspection:
                self._inspect()
            if now >= self._next_look:
                self._ask_owner()
        except RedisError:  # whoever works with it says so
            self._leave()
            pause = AGAIN_SECONDS if self.foreign == UNKNOWN else LOOK_SECONDS
            self._next_look = self._next_inspection = now + pause
        return self.foreign

    def _inspect(self) -> dict[str, str]:
        found = inspect(self._redis, self._uses)
        self._next_inspection = time.monotonic() + INSPECT_SECONDS
        if "replica" in found.unfit:
            self._leave()
            self._next_inspection = time.monotonic() + LOOK_SECONDS
        if found.eviction != self._eviction:
            self._eviction = found.eviction
            log.warning("%s", found.eviction or "maxmemory-policy is noeviction again")
        self._tell({reason: found.unfit.get(reason, "") for reason in REASONS if reason != "another_stack"})
        return found.unfit

    def _ask_owner(self) -> None:
        if self._owns:
            owner, refused = self._redis.eval(OWN, 1, KEY, self._own, OWNED_SECONDS)
            if refused:
                self._leave()
        else:
            owner = self._redis.get(KEY)
        self.foreign = another(owner if isinstance(owner, bytes) else None, self._own)
        self._next_look = time.monotonic() + (FOREIGN_SECONDS if self.foreign else LOOK_SECONDS)
        self._tell({"another_stack": self.foreign})

    def _leave(self) -> None:
        """Close the idle connections: after a failover the address leads to another server.

        A server that became a replica answers INFO and GET all the same, so its connections would be kept for ever.
        """
        self._redis.connection_pool.disconnect(inuse_connections=False)

    def _tell(self, found: dict[str, str]) -> None:
        """Log and count what has changed."""
        for reason, sentence in found.items():
            if sentence != self._told.get(reason, ""):
                if sentence:
                    log.error("%s", sentence)
                else:
                    log.info("over: %s", self._told[reason])
                self._told[reason] = sentence
            REDIS_UNFIT.labels(reason).set(bool(sentence))
