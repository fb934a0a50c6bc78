"""Doctor's look at Redis. Only INFO is used: managed servers refuse CONFIG."""

from collections.abc import Iterator
from typing import Any

import redis

from runner_cli.findings import Finding, error, ok, warning
from runner_core.settings import Settings

OLDEST = (6, 2)


def check_redis(settings: Settings) -> Iterator[Finding]:
    """Everything about the Redis of REDIS_URL."""
    if not settings.redis_url:
        yield error("redis", "REDIS_URL is not set: redis://host:6379/0")
        return
    seconds = settings.redis_timeout_seconds
    try:
        with redis.Redis.from_url(settings.redis_url, socket_timeout=seconds, socket_connect_timeout=seconds) as client:
            info: dict[str, Any] = client.info()
    except (redis.RedisError, ValueError) as failure:
        yield error("redis", f"it does not answer ({failure}): check REDIS_URL and that the server runs")
        return
    yield _version(info)
    yield _eviction(info)
    yield from _persistence(info)
    yield from _memory(info)


def _version(info: dict[str, Any]) -> Finding:
    version = str(info.get("redis_version", "0"))
    name = f"{info.get('server_name', 'redis')} {info.get('valkey_version', version)}"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return error("redis", f"{name} is too old: {'.'.join(map(str, OLDEST))} or later is needed")
    if info.get("redis_mode") == "cluster":
        return error("redis", f"{name} is a cluster, which the queue can't use: take a single server or Sentinel")
    return ok("redis", name)


def _eviction(info: dict[str, Any]) -> Finding:
    policy = info.get("maxmemory_policy")
    if policy == "noeviction":
        return ok("eviction", "noeviction")
    return error("eviction", f"maxmemory-policy is {policy}: full memory would drop queued messages; set noeviction")


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
