"""The highest timeline of the database, kept in Redis: publishers and workers tell each other, and those that start.

A process whose address leads only to an older primary learns here that there is a newer one. An emptied Redis is filled
again from what the processes know.
"""

from redis import Redis

from runner_core.cells import Cell
from runner_core.timeline import Fence, Timeline

KEY = "beacon:timeline"

# KEYS: the key. ARGV: the server's identifier, and the highest timeline that the process knows. Returns the highest
# timeline of this server. Another server's is replaced. A refused write is ignored: the next call tries again.
TELL = """
local kept = redis.call('GET', KEYS[1])
local server, number = string.match(kept or '', '^(%S+) (%d+)$')
if server == ARGV[1] and tonumber(number) >= tonumber(ARGV[2]) then
  return tonumber(number)
end
redis.pcall('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2])
return tonumber(ARGV[2])
"""


def tell(redis: Redis, fence: Fence, cell: Cell) -> None:
    """Tell Redis the highest timeline that `fence` knows, and the other way round. Raises RedisError.

    Each cell has its own key, because the cells on one Redis may be on several PostgreSQL servers.
    """
    if highest := fence.highest:
        number = redis.eval(TELL, 1, cell.key(KEY), highest.server, highest.number)
        fence.learn(Timeline(highest.server, int(number)))
