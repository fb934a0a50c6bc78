"""Push messages: the only place that writes RQ's job hashes and queues.

Job hashes are written by hand, in the format that a stock worker of the pinned RQ reads (a contract test runs one):
RQ's own `enqueue_many` spends most of its time on fields that this system must not use anyway, because attempts,
retries and results are PostgreSQL's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from runner_queue.connection import text_of
from runner_queue.message import description, encode, job_key
from runner_queue.raw_connection import RawConnection
from runner_queue.refusals import refusal_of

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


def push(connection: RawConnection, rows: Sequence[OutboxRow]) -> dict[int, Exception]:
    """Push `rows` in one round trip; return the rows that failed on their own account, by outbox id.

    Raises redis.exceptions.ConnectionError or TimeoutError when Redis can't be reached or takes no writes: no single
    message causes this. Some rows may have been pushed; a row that is pushed twice is dropped at its claim.
    """
    failures: dict[int, Exception] = {}
    pushed: list[OutboxRow] = []
    keys: list[str] = []
    values: list[str | bytes] = [datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")]
    for row in rows:
        try:
            data = encode(row.topic, row.dispatch_id, row.payload)
            values += (row.dispatch_id, row.topic, data, description(row.topic, row.payload))
        except (TypeError, ValueError, RecursionError) as error:
            failures[row.id] = error
            continue
        pushed.append(row)
        keys.append(job_key(row.dispatch_id))
    if pushed:
        (refused,) = connection.execute(("EVAL", PUSH, len(keys), *keys, *values))
        if isinstance(refused, ResponseError):
            raise RedisConnectionError(f"Redis takes no messages: {text_of(refused)}") from refused
        for number, reason in refused:
            failures[pushed[number - 1].id] = _refusal(connection, reason.decode(errors="replace"))
    return failures


def _refusal(connection: RawConnection, reason: str) -> ResponseError:
    """Return the error of one key; raise what tells of the server's state instead."""
    if refusal_of(reason).concerns != "row":
        connection.refused(reason)
        raise RedisConnectionError(f"Redis takes no messages: {reason}")
    return ResponseError(reason)
