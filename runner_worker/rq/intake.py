"""Takes messages from the queue, and keeps those that are not settled, which means removed from Redis."""

import logging
from collections.abc import Callable

from redis import Redis
from redis.exceptions import RedisError

from runner_core.cells import Cell
from runner_queue import sentinel
from runner_queue.message import ForeignCall, envelope_of, job_key, queue_key
from runner_queue.raw_connection import RawConnection
from runner_queue.take import take
from runner_worker.engine import Message

logger = logging.getLogger(__name__)


class Intake:
    """Takes the messages of one queue, reads them, and removes them from Redis when they are claimed.

    Owned by the worker's main thread. `unclaimed` are the messages that were read and not claimed.
    """

    def __init__(
        self, redis: Redis, queue: str, region: str, worker: str, on_refused: Callable[[], None], cell: Cell
    ) -> None:
        self.aside = f"beacon:aside:{worker}"  # the key of this worker's own list
        self.unclaimed: list[Message] = []
        self._redis, self._queue, self._region, self._on_refused = redis, queue, region, on_refused
        self._cell = cell
        self._connection = RawConnection(redis)
        self._taken: list[bytes] = []  # dispatch ids that have left the queue and are not settled
        self._may_have_lost = False

    def __len__(self) -> int:
        """Return how many messages were taken and are not settled."""
        return len(self._taken)

    def take(self, room: int, wait_seconds: float) -> None:
        """Take and read up to `room` messages; wait up to `wait_seconds` for the first. Raises RedisError."""
        try:
            self._taken, found = take(self._connection, self._queue, self.aside, room, wait_seconds)
        except RedisError:
            self._may_have_lost = True
            raise
        self.unclaimed = self._read(found)

    def report_loss(self) -> None:
        """Delete the sentinel if the connection broke during a take, because messages may have been lost on the way.

        Without the sentinel the publishers check for lost messages at once; otherwise they notice after two leases.
        """
        if self._may_have_lost:
            sentinel.remove(self._redis, self._cell)
            self._may_have_lost = False

    def settle(self) -> int:
        """Delete the hashes of the messages that were taken; return their number."""
        settled = len(self._taken)
        self._redis.unlink(*(job_key("").encode() + id_ for id_ in self._taken))
        self._taken, self.unclaimed = [], []
        return settled

    def hand_back(self) -> None:
        """Return the messages that were not claimed to the head of their queue."""
        if self.unclaimed:
            self._redis.lpush(queue_key(self._queue), *reversed(self._taken))
            self._taken, self.unclaimed = [], []

    def _read(self, found: list[object]) -> list[Message]:
        """Return the messages; drop and log those that are missing or not ours."""
        messages = []
        for id_, data in zip(self._taken, found, strict=True):
            name = id_.decode(errors="backslashreplace")
            if not isinstance(data, bytes):
                logger.warning(
                    "message dropped, its hash is gone from Redis; the sweep stages its region again dispatch_id=%.64s",
                    name,
                )
                continue
            try:
                envelope = envelope_of(data)
            except ForeignCall as error:
                logger.error("message refused dispatch_id=%.64s error=%s", name, error)
                self._on_refused()
                continue
            messages.append(Message(envelope["id"], self._region, envelope["request_id"], name))
        return messages
