"""Doctor's look at Redis: the checks that processes run at their start, and settings that cost time."""

from collections.abc import Iterator
from typing import Any

import psycopg
import redis

from runner_cli.findings import Finding, error, ok, warning
from runner_core.redaction import described
from runner_core.session import connect, transaction
from runner_core.settings import Settings
from runner_queue.connection import open_client
from runner_queue.inspection import PUBLISHER_COMMANDS, WORKER_COMMANDS, inspect
from runner_queue.stack_marker import another, identity_of, owner_in

OLDEST = (6, 2)


def check_redis(settings: Settings, database_url: str = "") -> Iterator[Finding]:
    """Return every finding about the Redis of REDIS_URL; with `database_url` also whether the two
    belong together."""
    if not settings.redis.url:
        yield error("redis", "REDIS_URL is not set: set it to redis://host:6379/0")
        return
    seconds, own = settings.redis.timeout_seconds, _identity(database_url)
    try:
        with open_client(settings.redis.url, answer_seconds=seconds, connect_seconds=seconds) as asked:
            found = inspect(asked, PUBLISHER_COMMANDS, WORKER_COMMANDS)
            owner = owner_in(asked, own) if own and not found.unfit else None
    except redis.RedisError as failure:
        yield error("redis", f"it does not answer ({described(failure)}): check REDIS_URL and that the server runs")
        return
    if found.info:
        yield _version(found.info)
    for sentence in found.unfit.values():
        yield error("redis", sentence)
    if owner is not None:
        yield from _owner(owner, own)
    if found.info:
        yield error("eviction", found.eviction) if found.eviction else ok("eviction", "noeviction")
        yield from _persistence(found.info)
        yield from _memory(found.info)


def _identity(database_url: str) -> str:
    """Return the identity of the database, or empty if it can't be read: the look at the database tells why."""
    try:
        if database_url:
            with connect(database_url, "doctor") as conn, transaction(conn):
                return identity_of(conn)
    except psycopg.Error:
        pass
    return ""


def _owner(owner: bytes, own: str) -> Iterator[Finding]:
    """Whether the publishers that use this Redis work for the database whose identity is `own`."""
    if sentence := another(owner, own):
        yield error("stack", sentence)
    else:
        yield ok("stack", "the publishers that use this Redis work for this database")


def _version(info: dict[str, Any]) -> Finding:
    version = str(info.get("redis_version", "0"))
    name = f"{info.get('server_name', 'redis')} {info.get('valkey_version', version)}"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return error("redis", f"{name} is too old: {'.'.join(map(str, OLDEST))} or later is needed")
    return ok("redis", name)


def _persistence(info: dict[str, Any]) -> Iterator[Finding]:
    if not info.get("aof_enabled"):
        yield warning(
            "persistence",
            "appendonly is off: a restart empties the queues and everything is sent again; set appendonly yes",
        )
    elif info.get("aof_last_write_status") != "ok":
        yield error("persistence", "the last write of the append-only file failed: look at its disk")
    else:
        yield ok("persistence", "append-only file")


def _memory(info: dict[str, Any]) -> Iterator[Finding]:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if limit and used > limit * 0.8:
        yield warning("memory", f"{used / 2**20:.0f} of {limit / 2**20:.0f} MiB are used: raise maxmemory")
    else:
        yield ok(
            "memory", f"{used / 2**20:.0f} MiB used, " + (f"{limit / 2**20:.0f} MiB allowed" if limit else "no limit")
        )
