"""What waits in Redis: the ids of the messages in every queue, as RQ keeps them."""

from runner_queue.connection import open_client
from runner_queue.message import QUEUES_KEY


def queued_ids(url: str, timeout: float = 5.0) -> list[str]:
    """Every dispatch id in a queue, or on its way from it to a stock worker. Raises redis.exceptions.RedisError."""
    with open_client(url, answer_seconds=timeout, connect_seconds=timeout) as client:
        found: list[str] = []
        for queue in client.smembers(QUEUES_KEY):
            for key in (queue, queue + b":intermediate"):
                found += [item.decode() for item in client.lrange(key, 0, -1)]
    return found
