"""What waits in Redis: the ids of the messages in every queue, as RQ keeps them."""

import redis

QUEUES = "rq:queues"


def queued_ids(url: str, timeout: float = 5.0) -> list[str]:
    """Every dispatch id in a queue, or on its way from it to a stock worker. Raises redis.exceptions.RedisError."""
    with redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout) as client:
        found: list[str] = []
        for queue in client.smembers(QUEUES):
            for key in (queue, queue + b":intermediate"):
                found += [item.decode() for item in client.lrange(key, 0, -1)]
    return found
