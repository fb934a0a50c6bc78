"""Takes messages: removes ids from their queue and reads their hashes, in one round trip."""

import time
from typing import cast

from redis.exceptions import OutOfMemoryError, RedisError

from runner_queue.message import queue_key
from runner_queue.raw_connection import RawConnection

# This script is sent together with a BLMOVE, which waits for a message and moves its id to this worker's own list
# (`aside`). KEYS: the worker's own list and the queue. ARGV: the number of messages to take. Returns the ids and the
# data of each: nil without a hash, empty if the key is no hash.
# (If Redis ends between the two commands, an id stays in the worker's own list. This worker takes it at its next call;
# if the worker has ended, the sweeper stages the region again.)
TAKE = """
local ids = redis.call('LPOP', KEYS[1], ARGV[1]) or {}
local room = ARGV[1] - #ids
if room > 0 then
  for _, id in ipairs(redis.call('LPOP', KEYS[2], room) or {}) do
    ids[#ids + 1] = id
  end
end
local found = {}
for i, id in ipairs(ids) do
  local data = redis.pcall('HGET', 'rq:job:' .. id, 'data')
  found[i] = type(data) == 'table' and '' or data
end
return {ids, found}
"""


def take(
    connection: RawConnection, queue: str, aside: str, room: int, wait_seconds: float
) -> tuple[list[bytes], list[object]]:
    """Take up to `room` messages of `queue`; wait up to `wait_seconds` for the first one.

    Return their dispatch ids and the data of each: None without a hash, empty if the key is no hash. `aside` is the key
    of this worker's own list, which is empty unless Redis has crashed. Raises redis.exceptions.RedisError; messages may
    have left their queue then.
    """
    key = queue_key(queue)
    waited, taken = connection.execute(
        ("BLMOVE", key, aside, "LEFT", "RIGHT", wait_seconds),
        ("EVAL", TAKE, 2, aside, key, room),
    )
    if isinstance(taken, RedisError):
        raise taken
    if isinstance(waited, OutOfMemoryError):  # BLMOVE moved nothing; the script still takes messages and frees memory
        if not taken[0]:
            time.sleep(wait_seconds)
    elif isinstance(waited, RedisError):
        raise waited
    return cast(tuple[list[bytes], list[object]], taken)
