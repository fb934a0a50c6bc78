"""A publisher's way to Redis."""

import time
from collections.abc import Sequence

from runner_core.settings import Settings
from runner_queue.connection import open_client
from runner_queue.message import moved_key, queue_key
from runner_queue.push import OutboxRow, push
from runner_queue.raw_connection import RawConnection
from runner_queue.sentinel import Sentinel


class Broker:
    """Pushes messages and asks which of them wait. `push` belongs to one thread, the two questions to one, which may be
    another."""

    def __init__(self, settings: Settings) -> None:
        # A push that failed is not sent again while the outbox rows' locks are held: the publisher rolls back.
        seconds = settings.redis.timeout_seconds
        self.redis = open_client(settings.redis.url, answer_seconds=seconds, connect_seconds=seconds)
        self._pushes = RawConnection(self.redis)
        self._sentinel = Sentinel(self.redis)
        self.moved_is_alive_seconds = settings.jobs.lease_seconds
        self._moved: dict[str, dict[str, float]] = {}  # topic -> dispatch id -> first seen

    def push(self, rows: Sequence[OutboxRow]) -> dict[int, Exception]:
        """Push `rows` as `runner_queue.push.push` does."""
        return push(self._pushes, rows)

    def queued_ids(self, topic: str) -> set[str]:
        """Return the dispatch ids that wait for `topic`, or were moved out of its list by a stock worker just now.

        A stock RQ worker moves an id to an intermediate list for the milliseconds until it starts. One that was
        killed there leaves it for ever, so an id counts for one lease from when this broker first saw it there.
        """
        pipe = self.redis.pipeline(transaction=True)  # one look: an id must not slip from one list to the other
        pipe.lrange(queue_key(topic), 0, -1)
        pipe.lrange(moved_key(topic), 0, -1)
        waiting, moved = pipe.execute()
        now = time.monotonic()
        before = self._moved.get(topic, {})
        self._moved[topic] = {name: before.get(name, now) for name in _names(moved)}
        alive = {name for name, at in self._moved[topic].items() if now - at < self.moved_is_alive_seconds}
        return alive.union(_names(waiting))

    def sentinel_changed(self) -> bool:
        """Return whether Redis may have lost messages since the last look."""
        return self._sentinel.changed()

    def close(self) -> None:
        """Close every connection."""
        self._pushes.close()
        self.redis.close()


def _names(ids: list[bytes]) -> list[str]:
    return [id_.decode(errors="replace") for id_ in ids]
