"""Checks whether the server of REDIS_URL can be used.

Processes call `inspect` at their start, and `beacon doctor` at any time, so both report the same sentences.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.exceptions import AuthenticationError, ResponseError
from redis.sentinel import MasterNotFoundError

from runner_queue.raw_connection import RawConnection

WORKS = "give the address of a single server, of Sentinels, or of a proxy that follows the primary"
_QUEUE, _JOB, _OTHER = "rq:queue:beacon-probe", "rq:job:probe", "beacon:probe"

# Every command that is used, with typical arguments; also the commands inside scripts, because a server checks those
# too. docs/configuration.md lists the names, and a test compares.
PUBLISHER_COMMANDS: dict[str, tuple[str, ...]] = {
    "DEL": (_JOB,),
    "EVAL": ("return 1", "1", _JOB),
    "EXPIRE": (_OTHER, "60"),
    "GET": (_OTHER,),
    "HSET": (_JOB, "data", "-"),
    "INFO": ("server",),
    "LRANGE": (_QUEUE, "0", "0"),
    "RPUSH": (_QUEUE, "-"),
    "SADD": ("rq:queues", _QUEUE),
    "SET": (_OTHER, "-"),
}
WORKER_COMMANDS: dict[str, tuple[str, ...]] = {
    "BLMOVE": (_QUEUE, _OTHER, "LEFT", "RIGHT", "0.1"),
    "DEL": (_OTHER,),
    "EVAL": ("return 1", "2", _OTHER, _QUEUE),
    "EXPIRE": ("rq:worker:probe", "60"),
    "GET": (_OTHER,),
    "HGET": (_JOB, "data"),
    "HSET": ("rq:worker:probe", "state", "-"),
    "INFO": ("server",),
    "LPOP": (_QUEUE, "1"),
    "LPUSH": (_QUEUE, "-"),
    "SADD": ("rq:workers", "-"),
    "SET": (_OTHER, "-"),
    "SREM": ("rq:workers", "-"),
    "SUBSCRIBE": ("rq:pubsub:probe",),
    "UNLINK": (_JOB,),
    "UNSUBSCRIBE": ("rq:pubsub:probe",),
    "ZADD": ("rq:wip:probe", "1", "-"),
    "ZREM": ("rq:wip:probe", "-"),
}
ALWAYS = ("EXEC", "MULTI")  # for transactions; this check uses one


@dataclass(frozen=True)
class Inspection:
    """The result of `inspect`. `unfit`: by reason, why the server can't be used, a sentence each. `info`: of INFO."""

    info: dict[str, Any] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)

    @property
    def eviction(self) -> str:
        """Return the mistake in the eviction policy; empty if there is none, or if INFO does not name the policy."""
        policy = self.info.get("maxmemory_policy", "noeviction")
        if policy == "noeviction":
            return ""
        return f"maxmemory-policy is {policy}: Redis would drop queued messages when its memory is full; set noeviction"


def inspect(client: Redis, *uses: dict[str, tuple[str, ...]]) -> Inspection:
    """Check whether the server can be used with these commands. Changes nothing in Redis.

    Raises redis.exceptions.RedisError if the server does not answer, or refuses temporarily.
    """
    connection = RawConnection(client)
    found: dict[str, Any] = {}
    try:
        with suppress(ResponseError):  # a login without INFO is reported by the next check
            found = client.info()
        denied = _denied(connection, {name: values for used in uses for name, values in used.items()})
    except AuthenticationError:
        return Inspection(unfit={"login": "REDIS_URL has a user or a password that Redis refuses: correct them"})
    except MasterNotFoundError as error:
        if AuthenticationError.__name__ not in str(error):  # the text has the error of each Sentinel
            raise
        return Inspection(unfit={"login": "a Sentinel of REDIS_URL refuses its sentinel_username or sentinel_password"})
    finally:
        connection.close()
    unfit: dict[str, str] = {}
    if found.get("cluster_enabled") or "cluster" in (found.get("redis_mode"), found.get("server_mode")):
        unfit["cluster"] = f"the server of REDIS_URL is a Redis Cluster, which the queues can't use: {WORKS}"
    if found.get("role") in ("slave", "replica"):
        unfit["replica"] = f"the server of REDIS_URL is a replica, which takes no writes: {WORKS}"
    if denied:
        unfit["commands"] = (
            f"the login of REDIS_URL may not use {', '.join(denied)}: allow it (ACL SETUSER); "
            "docs/configuration.md lists the commands, keys and channels"
        )
    return Inspection(found, unfit)


def _denied(connection: RawConnection, uses: dict[str, tuple[str, ...]]) -> list[str]:
    """Return the commands that the login may not use. All are queued in a MULTI that is never executed."""
    (opened,) = connection.execute(("MULTI",))
    if isinstance(opened, ResponseError):  # outside MULTI the commands would be executed
        if not _is_denied(opened):
            raise opened
        return ["MULTI"]
    denied: dict[str, None] = {}
    for name, answer in zip(uses, connection.execute(*((name, *values) for name, values in uses.items())), strict=True):
        words = str(answer).lower()
        if not isinstance(answer, ResponseError):
            continue
        if "access" in words and "channel" in words:
            denied["the channels rq:*"] = None
        elif "access" in words and "key" in words:
            denied["the keys rq:* and beacon:*"] = None
        elif _is_denied(answer):
            denied[name] = None
    return list(denied)


def _is_denied(reply: ResponseError) -> bool:
    """Return whether the reply means that the login or the server lacks the command. Other errors are temporary."""
    words = str(reply).lower()
    return "permission" in words or "unknown command" in words
