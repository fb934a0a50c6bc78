"""The sentinel: a key whose loss says that Redis may have lost messages."""

import secrets

from redis import Redis
from redis.exceptions import ResponseError

from runner_core.cells import Cell

SENTINEL = "beacon:sentinel"


class Sentinel:
    """What one publisher last read of the sentinel. Owned by one thread."""

    def __init__(self, redis: Redis, cell: Cell) -> None:
        self._redis, self._key = redis, cell.key(SENTINEL)
        self._seen: tuple[bytes, str] | None = None

    def changed(self) -> bool:
        """Return whether Redis may have lost messages since the last call, because it was emptied, restarted or failed
        over.

        Compares a random value in Redis and the server's run id with those of the last call. The run id is needed
        because a restart with AOF keeps the value and loses the last second. The first call returns whether the value
        was missing. If the login may not read the run id, only an emptied Redis is seen; the sweeper's regular pass
        finds the messages that a restart has lost, a few leases later.
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.set(self._key, secrets.token_hex(16), nx=True)
        pipe.get(self._key)
        pipe.info("server")
        absent, value, server = pipe.execute(raise_on_error=False)
        for refused in (absent, value):
            if isinstance(refused, ResponseError):
                raise refused
        before, self._seen = self._seen, (value, str(server["run_id"]) if isinstance(server, dict) else "")
        return bool(absent) or before not in (None, self._seen)


def remove(redis: Redis, cell: Cell) -> None:
    """Delete the sentinel of `cell`, so that the publishers check the message of every open region at once."""
    redis.delete(cell.key(SENTINEL))
