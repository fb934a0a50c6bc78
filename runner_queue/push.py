"""Pushes messages. Only this module writes RQ's job hashes and queues.

Job hashes are written by hand, in the format that a stock worker of the pinned RQ reads (a contract test runs one).
RQ's own `enqueue_many` spends most of its time on fields that are not used here, because attempts, retries and results
are kept in PostgreSQL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from runner_core.cells import Cell
from runner_queue.connection import text_of
from runner_queue.message import description, encode, job_key
from runner_queue.raw_connection import RawConnection
from runner_queue.refusals import refusal_of

# KEYS: the jobs' hashes. ARGV: the time, then (id, queue, data, description) of each job. Returns (number, error) for
# each refused job. One script for all rows, because parsing a hundred replies takes longer than Redis' own work.
# Each id is pushed after its hash, because a worker must not find an id without a hash. The hash of a refused id is
# deleted, because nothing would ever read it.
# No `ttl`, because RQ silently skips a job whose hash has expired. No timeout, because the engine has the deadline.
# A stock worker's finished jobs expire after five minutes, failed ones after a day.
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
    """One message to publish. `dispatch_id` becomes the id of the RQ job; each push needs a new one."""

    id: int
    topic: str
    payload: dict[str, Any]
    dispatch_id: str
    attempts: int


def push(connection: RawConnection, rows: Sequence[OutboxRow], cell: Cell) -> dict[int, Exception]:
    """Push `rows` to the queues of `cell` in one round trip. Return the errors of refused rows, by outbox id.

    Raises redis.exceptions.ConnectionError or TimeoutError if Redis can't be reached or accepts no writes, which no
    single message causes. Some rows may have been pushed then; a row that is pushed twice is dropped at its claim.
    """
    failures: dict[int, Exception] = {}
    pushed: list[OutboxRow] = []
    keys: list[str] = []
    values: list[str | bytes] = [datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")]
    for row in rows:
        try:
            data = encode(row.topic, row.dispatch_id, row.payload)
            values += (row.dispatch_id, cell.queue(row.topic), data, description(row.topic, row.payload))
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
    """Return the error of one row. Raise it instead if it is about the server's state."""
    if refusal_of(reason).concerns != "row":
        connection.refused(reason)
        raise RedisConnectionError(f"Redis takes no messages: {reason}")
    return ResponseError(reason)
