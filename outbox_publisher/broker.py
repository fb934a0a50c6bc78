"""The only file that sends to RQ.

Job hashes are written by hand, in the format that a stock worker of the pinned RQ reads (a contract test runs one):
RQ's own `enqueue_many` spends most of its time on fields that this system must not use anyway, because attempts,
retries and results are PostgreSQL's.
"""

import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from runner_core.failures import refusal_of
from runner_core.redis_line import RedisLine, open_client, text_of
from runner_core.settings import Settings

FUNCTION = "runner_worker.tasks.run_region"  # by name: the publisher never imports the worker
SENTINEL = "beacon:sentinel"
TOPIC_PREFIX = "beacon-"
_json = json.JSONEncoder(allow_nan=False).encode
MAX_DATA_BYTES = 16_384  # the worker refuses more; an envelope has a few hundred

# KEYS are the jobs' hashes, ARGV the time and then (id, queue, data, description) of each. Returns (number, error) for
# what was refused. One command instead of one a row, because taking a hundred replies apart costs more than Redis' own
# work.
# The ids follow their hashes: a worker must not find one without the other. A hash whose id was refused goes again:
# nobody would ever find it.
# No `ttl`: RQ skips a job whose hash has expired without a word. No timeout: the region's deadline is the engine's.
# What a stock worker leaves behind goes after five minutes, or after a day when it failed.
PUSH = """
local refused, queues, waiting = {}, {}, {}
for i, key in ipairs(KEYS) do
  local id, queue, data, description = unpack(ARGV, 4 * i - 2, 4 * i + 1)
  local reply = redis.pcall('HSET', key, 'data', data, 'origin', queue, 'created_at', ARGV[1], 'enqueued_at', ARGV[1],
                            'status', 'queued', 'timeout', '-1', 'result_ttl', '300', 'failure_ttl', '86400',
                            'description', description)
  if type(reply) == 'table' then
    refused[#refused + 1] = {i, reply.err}
  else
    if not waiting[queue] then
      waiting[queue] = {numbers = {}, ids = {}}
      queues[#queues + 1] = queue
    end
    table.insert(waiting[queue].numbers, i)
    table.insert(waiting[queue].ids, id)
  end
end
for _, queue in ipairs(queues) do
  local numbers, ids = waiting[queue].numbers, waiting[queue].ids
  for first = 1, #ids, 1000 do
    local last = math.min(first + 999, #ids)
    local reply = redis.pcall('RPUSH', 'rq:queue:' .. queue, unpack(ids, first, last))
    for i = first, type(reply) == 'table' and last or 0 do
      refused[#refused + 1] = {numbers[i], reply.err}
      redis.pcall('DEL', KEYS[numbers[i]])
    end
  end
  redis.pcall('SADD', 'rq:queues', 'rq:queue:' .. queue)
end
return refused
"""


@dataclass(frozen=True)
class OutboxRow:
    """One message to publish. `dispatch_id` becomes the RQ job's id and must be fresh for every push."""

    id: int
    topic: str
    payload: dict[str, Any]
    dispatch_id: str
    attempts: int


class Broker:
    """A publisher's way to Redis. `push` belongs to one thread, the two questions to one, which may be another."""

    def __init__(self, settings: Settings) -> None:
        # A push that failed is not sent again while the outbox rows' locks are held: the publisher rolls back.
        seconds = settings.redis_timeout_seconds
        self.redis = open_client(settings.redis_url, answer_seconds=seconds, connect_seconds=seconds)
        self._pushes = RedisLine(self.redis)
        self.moved_is_alive_seconds = settings.lease_seconds
        self._moved: dict[str, dict[str, float]] = {}  # topic -> dispatch id -> first seen
        self._seen: tuple[bytes, str] | None = None

    def push(self, rows: Sequence[OutboxRow]) -> dict[int, Exception]:
        """Push `rows` in one round trip; return the rows that failed on their own account, by outbox id.

        Raises redis.exceptions.ConnectionError or TimeoutError when Redis can't be reached or takes no writes: that
        is nobody's message's fault. Rows may have been pushed by then; pushed again, they end at the claim.
        """
        failures: dict[int, Exception] = {}
        pushed: list[OutboxRow] = []
        keys: list[str] = []
        values: list[str | bytes] = [datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")]
        for row in rows:
            try:
                values += (row.dispatch_id, row.topic, _encode(row), _description(row))
            except (TypeError, ValueError, RecursionError) as error:
                failures[row.id] = error
                continue
            pushed.append(row)
            keys.append(f"rq:job:{row.dispatch_id}")
        if pushed:
            (refused,) = self._pushes.ask(("EVAL", PUSH, len(keys), *keys, *values))
            if isinstance(refused, ResponseError):
                raise RedisConnectionError(f"Redis takes no messages: {text_of(refused)}") from refused
            for number, reason in refused:
                failures[pushed[number - 1].id] = self._refusal(reason.decode(errors="replace"))
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
        keeps the value and still loses the last second). The first look says whether there was a value. A login that
        may not ask for the run id any more sees an emptied Redis all the same, and a restart after a few leases.
        """
        pipe = self.redis.pipeline(transaction=False)
        pipe.set(SENTINEL, secrets.token_hex(16), nx=True)
        pipe.get(SENTINEL)
        pipe.info("server")
        absent, value, server = pipe.execute(raise_on_error=False)
        for refused in (absent, value):
            if isinstance(refused, ResponseError):
                raise refused
        before, self._seen = self._seen, (value, str(server["run_id"]) if isinstance(server, dict) else "")
        return bool(absent) or before not in (None, self._seen)

    def _refusal(self, reason: str) -> ResponseError:
        """The error of one key; raises what tells of the server's state instead."""
        if refusal_of(reason).concerns != "row":
            self._pushes.refused(reason)
            raise RedisConnectionError(f"Redis takes no messages: {reason}")
        return ResponseError(reason)

    def close(self) -> None:
        self._pushes.close()
        self.redis.close()


def _names(ids: list[bytes]) -> list[str]:
    return [id_.decode(errors="replace") for id_ in ids]


def _encode(row: OutboxRow) -> bytes:
    """Return RQ's call tuple as JSON (function, instance, args, kwargs). Raises ValueError or TypeError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", row.dispatch_id):
        raise ValueError(f"dispatch id {row.dispatch_id!r} is not an RQ id")
    if not re.fullmatch(r"[a-z0-9._-]{1,255}", row.topic):
        raise ValueError(f"topic {row.topic!r} is not a queue name")
    data = _json([FUNCTION, None, [], row.payload]).encode()
    if len(data) > MAX_DATA_BYTES:
        raise ValueError(f"the message has {len(data)} bytes, more than {MAX_DATA_BYTES}")
    return data


def _description(row: OutboxRow) -> str:
    """What RQ's tools show of a message: its region and its job, `US job-1`."""
    return f"{row.topic.removeprefix(TOPIC_PREFIX).upper()} {row.payload.get('id', '')}"
