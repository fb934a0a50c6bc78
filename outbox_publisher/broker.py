"""The only file that sends to RQ.

Job hashes are written by hand, in the format that a stock worker of the pinned RQ reads (a contract test runs one):
RQ's own `enqueue_many` spends most of its time on fields that this system must not use anyway, because attempts,
retries and results are PostgreSQL's.
"""

import json
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.retry import Retry

from runner_core.settings import Settings

FUNCTION = "runner_worker.tasks.run_region"  # by name: the publisher never imports the worker
SENTINEL = "beacon:sentinel"
QUEUES = "rq:queues"
MAX_DATA_BYTES = 16_384  # the worker refuses more; an envelope has a few hundred

# No `ttl`: RQ skips a job whose hash has expired without a word. No timeout: the region's deadline is the engine's.
# What a stock worker leaves behind goes after five minutes, or after a day when it failed.
FIXED_FIELDS = ("status", "queued", "timeout", -1, "result_ttl", 300, "failure_ttl", 86_400)


@dataclass(frozen=True)
class OutboxRow:
    """One message to publish. `dispatch_id` becomes the RQ job's id and must be fresh for every push."""

    id: int
    topic: str
    payload: dict[str, Any]
    dispatch_id: str
    attempts: int


class Broker:
    """A publisher's connection to Redis. `push` may run beside the two questions, which belong to one thread."""

    def __init__(self, settings: Settings) -> None:
        # No retries inside redis-py: it would send a push again whose reply was lost, and it would hold the outbox
        # rows' locks while it waits. The publisher rolls back and comes again.
        self.redis = Redis.from_url(
            settings.redis_url,
            socket_timeout=settings.redis_timeout_seconds,
            socket_connect_timeout=settings.redis_timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        self.moved_is_alive_seconds = settings.lease_seconds
        self._moved: dict[str, dict[str, float]] = {}  # topic -> dispatch id -> first seen
        self._seen: tuple[bytes, str] | None = None

    def push(self, rows: Sequence[OutboxRow]) -> dict[int, Exception]:
        """Push `rows` in one round trip; return the rows that failed on their own account, by outbox id.

        Raises redis.exceptions.ConnectionError or TimeoutError when Redis can't be reached or takes no writes: that
        is nobody's message's fault. Rows may have been pushed by then; pushed again, they end at the claim.
        """
        failures: dict[int, Exception] = {}
        queues: defaultdict[str, list[OutboxRow]] = defaultdict(list)
        pipe = self.redis.pipeline(transaction=False)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for row in rows:
            try:
                data = _encode(row)
            except (TypeError, ValueError, RecursionError) as error:
                failures[row.id] = error
                continue
            fields = ("data", data, "origin", row.topic, "created_at", now, "enqueued_at", now, *FIXED_FIELDS)
            pipe.execute_command("HSET", f"rq:job:{row.dispatch_id}", *fields)  # type: ignore[no-untyped-call]
            queues[row.topic].append(row)
        if not queues:
            return failures
        for topic, group in queues.items():  # after every hash: a worker must not find an id without its hash
            pipe.rpush(f"rq:queue:{topic}", *(row.dispatch_id for row in group))
        pipe.sadd(QUEUES, *(f"rq:queue:{topic}" for topic in queues))
        replies = iter(pipe.execute(raise_on_error=False))
        hashed = [row for row in rows if row.id not in failures]
        for row, reply in zip(hashed, replies, strict=False):
            _blame([row], reply, failures)
        for group, reply in zip(queues.values(), replies, strict=False):
            _blame(group, reply, failures)
        return failures

    def queued_ids(self, topic: str) -> set[str]:
        """Return the dispatch ids that wait for `topic`, or were moved out of its list by a stock worker just now.

        A stock RQ worker moves an id to an intermediate list for the milliseconds until it starts. One that was
        killed there leaves it for ever, so an id counts for one lease from when this broker first saw it there.
        """
        key = f"rq:queue:{topic}"
        pipe = self.redis.pipeline(transaction=True)  # one look: an id must not slip from one list to the other
        pipe.lrange(key, 0, -1)
        pipe.lrange(f"{key}:intermediate", 0, -1)
        waiting, moved = pipe.execute()
        now = time.monotonic()
        before = self._moved.get(topic, {})
        self._moved[topic] = {name: before.get(name, now) for name in _names(moved)}
        alive = {name for name, at in self._moved[topic].items() if now - at < self.moved_is_alive_seconds}
        return alive.union(_names(waiting))

    def sentinel_changed(self) -> bool:
        """Say whether Redis may have lost messages since the last look: emptied, restarted or failed over.

        A random value in Redis and the server's run id are compared with those of the last look (an AOF restart
        keeps the value and still loses the last second). The first look says whether there was a value.
        """
        pipe = self.redis.pipeline(transaction=False)
        pipe.set(SENTINEL, secrets.token_hex(16), nx=True)
        pipe.get(SENTINEL)
        pipe.info("server")
        absent, value, server = pipe.execute()
        before, self._seen = self._seen, (value, str(server["run_id"]))
        return bool(absent) or before not in (None, self._seen)

    def close(self) -> None:
        self.redis.close()


def _names(ids: list[bytes]) -> list[str]:
    return [id_.decode(errors="replace") for id_ in ids]


def _encode(row: OutboxRow) -> bytes:
    """Return RQ's call tuple as JSON (function, instance, args, kwargs). Raises ValueError or TypeError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", row.dispatch_id):
        raise ValueError(f"dispatch id {row.dispatch_id!r} is not an RQ id")
    if not re.fullmatch(r"[a-z0-9._-]{1,255}", row.topic):
        raise ValueError(f"topic {row.topic!r} is not a queue name")
    data = json.dumps([FUNCTION, None, [], row.payload], allow_nan=False).encode()
    if len(data) > MAX_DATA_BYTES:
        raise ValueError(f"the message has {len(data)} bytes, more than {MAX_DATA_BYTES}")
    return data


def _blame(group: list[OutboxRow], reply: object, failures: dict[int, Exception]) -> None:
    """Put an error reply to the rows it concerns; raise it where it tells of the server's state."""
    if not isinstance(reply, Exception):
        return
    if not isinstance(reply, ResponseError):
        raise reply
    if not str(reply).startswith("WRONGTYPE"):  # out of memory, read-only replica, disk full, no permission
        raise RedisConnectionError(f"Redis takes no messages: {reply}") from reply
    failures.update((row.id, reply) for row in group)
