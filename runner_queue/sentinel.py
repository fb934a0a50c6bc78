"""The sentinel: a key whose loss says that Redis may have lost messages."""

import secrets

from redis import Redis
from redis.exceptions import ResponseError

SENTINEL = "beacon:sentinel"


class Sentinel:
    """The last look of one publisher at the sentinel. Belongs to one thread."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._seen: tuple[bytes, str] | None = None

    def changed(self) -> bool:
        """Return whether Redis may have lost messages since the last look: emptied, restarted or failed over.

        A random value in Redis and the server's run id are compared with those of the last look (an AOF restart
        keeps the value and still loses the last second). The first look says whether there was a value. A login that
        may not ask for the run id any more sees an emptied Redis all the same, and a restart after a few leases.
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.set(SENTINEL, secrets.token_hex(16), nx=True)
        pipe.get(SENTINEL)
        pipe.info("server")
        absent, value, server = pipe.execute(raise_on_error=False)
        for refused in (absent, value):
            if isinstance(refused, ResponseError):
                raise refused
        before, self._seen = self._seen, (value, str(server["run_id"]) if isinstance(server, dict) else "")
        return bool(absent) or before not in (None, self._seen)


def remove(redis: Redis) -> None:
    """Delete the sentinel, so that the publishers look for the message of every open region at once."""
    redis.delete(SENTINEL)
