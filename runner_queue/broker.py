"""The publisher's access to Redis."""

import time
from collections.abc import Sequence

from runner_core.settings import Settings
from runner_queue.connection import open_client
from runner_queue.message import moved_key, queue_key
from runner_queue.push import OutboxRow, push
from runner_queue.raw_connection import RawConnection
from runner_queue.sentinel import Sentinel


class Broker:
    """Pushes messages and reads which ones wait. One thread calls `push`; one thread, perhaps another, calls
    `queued_ids` and `sentinel_changed`."""

    def __init__(self, settings: Settings) -> None:
        # The client does not retry a failed push, because the outbox rows are locked: the publisher rolls back.
        seconds = settings.redis.timeout_seconds
        self.redis = open_client(settings.redis.url, answer_seconds=seconds, connect_seconds=seconds)
        self._pushes = RawConnection(self.redis)
        self._cell = settings.database.cell
        self._sentinel = Sentinel(self.redis, self._cell)
        self.moved_is_alive_seconds = settings.jobs.lease_seconds
        self._moved: dict[str, dict[str, float]] = {}  # topic -> dispatch id -> first seen

    def push(self, rows: Sequence[OutboxRow]) -> dict[int, Exception]:
        """Push `rows`; see `runner_queue.push.push`."""
        return push(self._pushes, rows, self._cell)

    def queued_ids(self, topic: str) -> set[str]:
        """Return the dispatch ids that wait for `topic`, and those that a stock RQ worker is just taking.

        A stock RQ worker moves an id to an intermediate list, and starts it milliseconds later. The id of a worker that
        was killed in between stays there for ever. So an id in that list counts for one lease from its first sight.
        """
        queue = self._cell.queue(topic)
        pipe = self.redis.pipeline(transaction=True)  # read both lists at once, so that no id moves in between
        pipe.lrange(queue_key(queue), 0, -1)
        pipe.lrange(moved_key(queue), 0, -1)
        waiting, moved = pipe.execute()
        now = time.monotonic()
        before = self._moved.get(topic, {})
        self._moved[topic] = {name: before.get(name, now) for name in _names(moved)}
        alive = {name for name, at in self._moved[topic].items() if now - at < self.moved_is_alive_seconds}
        return alive.union(_names(waiting))

    def sentinel_changed(self) -> bool:
        """Return whether Redis may have lost messages since the last call."""
        return self._sentinel.changed()

    def close(self) -> None:
        """Close every connection."""
        self._pushes.close()
        self.redis.close()


def _names(ids: list[bytes]) -> list[str]:
    return [id_.decode(errors="replace") for id_ in ids]
