"""Take messages: ids leave their queue together with what their hashes hold, in one round trip."""

import time
from typing import cast

from redis.exceptions import OutOfMemoryError, RedisError

from runner_queue.message import queue_key
from runner_queue.raw_connection import RawConnection

# Sent together with a BLMOVE that waits for a message and puts it aside for this worker, so that what has come arrives
# with its data at once. KEYS are the list of what was put aside and the queue, ARGV for how many messages there is
# room. The data of each: nil where there is none, empty where the key is no hash. (Should Redis end between the two,
# an id stays aside: this worker finds it there, and the sweeper stages its region again if there is none.)
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
    connection: RawConnection, topic: str, aside: str, room: int, wait_seconds: float
) -> tuple[list[bytes], list[object]]:
    """Take up to `room` messages of `topic`; wait up to `wait_seconds` for the first one.

    Return their dispatch ids and the data of each: None where there is no hash, empty where the key holds something
    else. `aside` is the key of this worker's own list, which is empty but for a crash of Redis.
    Raises redis.exceptions.RedisError; messages may have left their queue by then.
    """
    queue = queue_key(topic)
    waited, taken = connection.ask(
        ("BLMOVE", queue, aside, "LEFT", "RIGHT", wait_seconds),
        ("EVAL", TAKE, 2, aside, queue, room),
    )
    if isinstance(taken, RedisError):
        raise taken
    if isinstance(waited, OutOfMemoryError):  # it moves nothing then; but to take messages is what makes room
        if not taken[0]:
            time.sleep(wait_seconds)
    elif isinstance(waited, RedisError):
        raise waited
    return cast(tuple[list[bytes], list[object]], taken)
