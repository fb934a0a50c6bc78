"""RegionWorker: an RQ worker that has many region runs at once in one process, and takes and settles them in batches.

One round is one question to Redis, which waits for a message and brings up to N ids with their hashes, one claim in
PostgreSQL, one UNLINK. RQ takes its jobs through an intermediate list, at several commands per job, so that a killed
worker's job can be found again. Here nothing in Redis is needed for that: a message that was popped and not claimed has
neither a place in the queue nor a lease, which is exactly what the sweeper looks for. What a kill in those milliseconds
leaves in Redis is at most a batch of hashes of a few hundred bytes.
"""

import logging
import os
import random
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from redis import Redis
from redis.exceptions import OutOfMemoryError, RedisError
from rq import Worker
from rq.command import parse_payload
from rq.serializers import JSONSerializer
from rq.utils import now

from runner_queue import sentinel
from runner_queue.connection import open_client
from runner_queue.guard import Guard
from runner_queue.message import ForeignCall, envelope_of, job_key
from runner_queue.raw_connection import RawConnection
from runner_queue.take import take
from runner_worker.engine import Message, RegionRunner
from runner_worker.job import RegionJob
from runner_worker.standing import Standing

logger = logging.getLogger(__name__)

BLOCK_SECONDS = 0.5  # the longest that a signal waits to be seen
LONGEST_PAUSE_SECONDS = 2.0
SECOND_SIGNAL_SECONDS = 1.0  # a terminal and a supervisor may both send the first one: RQ's own rule


class RegionWorker(Worker):
    """Serves the one queue of one region with `runner`, until a signal.

    Not a forking worker in spite of its base, which gives it its place among RQ's tools. RQ's `suspend`, scheduler
    and maintenance are not for it: attempts, retries and results are PostgreSQL's.
    """

    def __init__(
        self,
        queues: list[str],
        name: str,
        runner: RegionRunner,
        connection: Redis,
        *,
        region: str,
        claim_batch: int,
        grace_seconds: float,
        guard: Guard | None = None,
    ) -> None:
        if len(queues) != 1:
            raise ValueError(f"a RegionWorker serves exactly one queue, not {len(queues)}")
        super().__init__(
            queues, name, connection=connection, job_class=RegionJob, serializer=JSONSerializer, prepare_for_work=False
        )
        self.hostname, self.pid = socket.gethostname(), os.getpid()
        self._line = RawConnection(connection)  # the main thread's
        self._topic = queues[0]
        self._aside = f"beacon:aside:{name}"
        self.runner = runner
        self.region = region
        self.claim_batch = claim_batch
        self.grace_seconds = grace_seconds
        self._guard = guard
        self.standing = Standing(self)
        self._taken: list[bytes] = []  # popped and not settled
        self._unclaimed: list[Message] = []  # read of them, and not claimed
        self._suspicious = False
        self._freed = threading.Event()
        self._pause = 0.0
        self._stop_at: float | None = None
        self._cold = False

    def work(self, *_: Any, **__: Any) -> bool:
        """Take and run messages until the first SIGTERM or SIGINT, then let running calls end within the grace.

        Returns False when a second signal ended that early or the engine broke; the caller must then leave the
        process at once.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.request_stop)
        self.birth_date = now()
        while self._stop_at is None and not self.runner.broken:
            try:
                self._round()
                if self._pause:
                    logger.info("taking messages again queue=%s", self.queue_names()[0])
                self._pause = 0.0
            except Exception as error:  # noqa: BLE001  Redis or PostgreSQL is away, or a claim has a bug: keep running
                self._outage(error)
        logger.info("warm shutdown requested busy=%d grace_s=%g", self.runner.busy(), self.grace_seconds)
        self._tolerate(self._hand_back)
        self._drain()
        self._tolerate(self._farewell)
        return not self._cold and not self.runner.broken

    def _round(self) -> None:
        """Take what fits, claim it, settle it; or wait a moment for a message or for room.

        What raises leaves the messages that were taken to the next round: no others are taken until these are claimed,
        because a worker that can't claim would only take them away from those that can.
        """
        with suppress(OutOfMemoryError):  # who can tell nothing can still take messages
            if self.standing.tell() and self.pubsub_thread is None:
                self.subscribe()  # type: ignore[no-untyped-call]  # here and below: RQ is typed in part
        if self._suspicious:
            # Messages may have been on their way when the connection broke. Nobody has them now; without this sign the
            # publishers would miss them only after two leases.
            sentinel.remove(self.connection)
            self._suspicious = False
        if not self._taken and not self._take_what_fits():
            return
        if self._stop_at is not None:
            return
        if self._unclaimed:
            ids = [message.dispatch_id for message in self._unclaimed]
            self.standing.started(ids)
            try:
                self.runner.submit(self._unclaimed, self._done)
            except BaseException:
                self.standing.withdrawn(ids)
                raise
            self._unclaimed = []
        # After the claim, so that messages can be handed back until then. Handed back after it they end at the claim.
        self.connection.unlink(*map(_key_of, self._taken))
        self._taken = []

    def _take_what_fits(self) -> bool:
        """Take as many messages as there is room for; False when there is no room, or no message has come."""
        self._freed.clear()
        room = min(self.runner.free(), self.claim_batch)
        if room <= 0 or (self._guard and self._guard.look()):
            self._freed.wait(BLOCK_SECONDS)
            return False
        try:
            self._taken, found = take(self._line, self._topic, self._aside, room, BLOCK_SECONDS)
        except RedisError:
            self._suspicious = True
            raise
        self._unclaimed = self._read(self._taken, found)
        return bool(self._taken)

    def _read(self, ids: list[bytes], found: list[object]) -> list[Message]:
        """The messages; what is missing or not ours is dropped and logged."""
        messages = []
        for id_, data in zip(ids, found, strict=True):
            name = id_.decode(errors="backslashreplace")
            if not isinstance(data, bytes):
                logger.warning("message dropped, its hash is gone; the sweeper stages it again dispatch_id=%.64s", name)
                continue
            try:
                envelope = envelope_of(data)
            except ForeignCall as error:
                logger.error("message refused dispatch_id=%.64s error=%s", name, error)
                self.standing.refused()
                continue
            messages.append(Message(envelope["id"], self.region, envelope["request_id"], name))
        return messages

    def _done(self, message: Message, outcome: str) -> None:
        """Count an ended region run; called from the engine's threads."""
        self.standing.ended(message.dispatch_id, failed=outcome == "error")
        self._freed.set()

    def _hand_back(self) -> None:
        """Put the ids of messages that were taken and not claimed back at the head of their queue."""
        if self._unclaimed:
            self.connection.lpush(self.queues[0].key, *reversed(self._taken))
            self._taken = []

    def _outage(self, error: Exception) -> None:
        """Log the first of a row of failures, wait longer after each, and register anew when it is over."""
        if not self._pause:
            logger.error(
                "can't take messages, running calls go on queue=%s error=%s",
                self.queue_names()[0],
                error,
                exc_info=None if isinstance(error, RedisError) else error,
            )
        self._pause = min(max(self._pause * 2, 0.1), LONGEST_PAUSE_SECONDS)
        self.standing.forgotten()
        until = time.monotonic() + self._pause * random.uniform(0.5, 1)  # noqa: S311  spreads workers, hides nothing
        while self._stop_at is None and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.25))

    def _drain(self) -> None:
        """Drain the engine beside this thread, so that a second signal is seen."""

        grace = self.grace_seconds - (time.monotonic() - (self._stop_at or time.monotonic()))

        def drain() -> None:
            try:
                self.runner.drain(max(0.0, grace))
            except Exception:
                logger.exception("drain failed")

        draining = threading.Thread(target=drain, name="drain", daemon=True)
        draining.start()
        while draining.is_alive() and not self._cold:
            draining.join(0.1)
        if self._cold:
            logger.warning("cold shutdown busy=%d", self.runner.busy())

    def _farewell(self) -> None:
        self.standing.tell(last=True)
        self.register_death()  # type: ignore[no-untyped-call]
        if self.pubsub_thread:
            self.pubsub_thread.stop()  # before RQ wakes it, or it may sleep on and cost a second
        self.unsubscribe()  # type: ignore[no-untyped-call]

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Note a signal. Neither raises, locks nor logs: it runs between any two instructions of the main thread."""
        if self._stop_at is None:
            self._stop_at = time.monotonic()
        elif time.monotonic() - self._stop_at >= SECOND_SIGNAL_SECONDS:
            self._cold = True

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Obey RQ's `shutdown` command and nothing else that is published to this worker."""
        try:
            command = parse_payload(message)["command"]
        except (ValueError, TypeError, KeyError, AttributeError):
            command = None
        if command == "shutdown":
            super().handle_payload(message)  # type: ignore[no-untyped-call]
        else:
            logger.warning("command ignored command=%.32r", command)

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """Keep listening for commands through an outage, which the main thread logs."""
        time.sleep(LONGEST_PAUSE_SECONDS)

    def _set_connection(self, connection: Redis) -> Redis:
        """Keep the caller's bounded timeouts: RQ would raise them to minutes."""
        return connection

    def _tolerate(self, last_word: Callable[[], object]) -> None:
        """Say a last word to a Redis that may be gone."""
        try:
            last_word()
        except RedisError as error:
            logger.warning("left without a word to Redis step=%s error=%s", last_word.__name__, error)


def worker_name(region: str) -> str:
    """A name that no other worker has had: `us-<host>-<pid>-<random>`."""
    return f"{region.lower()}-{socket.gethostname().replace(':', '-')}-{os.getpid()}-{secrets.token_hex(2)}"


def connect(redis_url: str, timeout_seconds: float) -> Redis:
    """A worker's connection: every answer is due within `timeout_seconds` beyond what the command itself blocks."""
    return open_client(redis_url, answer_seconds=BLOCK_SECONDS + timeout_seconds, connect_seconds=timeout_seconds)


def _key_of(id_: bytes) -> bytes:
    return job_key("").encode() + id_
