"""RegionWorker: an RQ worker that carries out many region runs at once in one process, and takes messages in batches.

One call of `run_once` makes one round trip to Redis, which waits for a message and returns up to N ids with their
hashes; then one claim in PostgreSQL; then one UNLINK. RQ instead moves each job through an intermediate list, with
several commands per job, to find the jobs of a killed worker. That is not needed here: a region whose message was taken
and not claimed has neither a queued message nor a lease, and the sweeper stages such regions again. A worker that is
killed between the take and the UNLINK leaves only one batch of small hashes in Redis.
"""

import logging
import math
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
from rq.command import parse_payload
from rq.serializers import JSONSerializer
from rq.utils import now

from runner_core.cells import PUBLIC_CELL, Cell
from runner_core.loop_health import LoopHealth, problem_of
from runner_queue.connection import open_client
from runner_queue.guard import Guard
from runner_worker.engine import Message, RegionRunner
from runner_worker.rq.compat import PatientWorker
from runner_worker.rq.intake import Intake
from runner_worker.rq.job import RegionJob
from runner_worker.rq.registration import RqRegistration

logger = logging.getLogger(__name__)

LATE = "PostgreSQL does not take the answers that this worker holds"
BLOCK_SECONDS = 0.5  # the longest wait for a message; also the longest delay of a stop signal
MAX_PAUSE_SECONDS = 2.0
SECOND_SIGNAL_SECONDS = 1.0  # an earlier second signal is ignored, as in RQ: terminal and supervisor may both send one


class RegionWorker(PatientWorker):
    """Serves the queue of one region by `runner`, until a signal.

    It does not fork. It derives from RQ's Worker so that RQ's tools list it. RQ's `suspend`, scheduler and maintenance
    have no effect, because attempts, retries and results are in PostgreSQL.
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
        cell: Cell = PUBLIC_CELL,
        guard: Guard | None = None,
        health: LoopHealth | None = None,
    ) -> None:
        if len(queues) != 1:
            raise ValueError(f"a RegionWorker serves exactly one queue, not {len(queues)}")
        super().__init__(
            queues, name, connection=connection, job_class=RegionJob, serializer=JSONSerializer, prepare_for_work=False
        )
        self.birth_date, self.hostname, self.pid = now(), socket.gethostname(), os.getpid()
        self.runner = runner
        self.region = region
        self.claim_batch = claim_batch
        self.grace_seconds = grace_seconds
        self._guard = guard
        self._health = health or LoopHealth(math.inf)
        self._loop = self._health.add("queue")
        self.registration = RqRegistration(self)
        self.intake = Intake(connection, queues[0], region, name, self.registration.refused, cell)
        self._freed = threading.Event()
        self._pause = 0.0
        self._stop_at: float | None = None
        self._cold = False

    def work(self, *_: Any, **__: Any) -> bool:
        """Take messages until the first SIGTERM or SIGINT, then let running calls end within the grace.

        Return False if a second signal came or the engine broke: the caller must then end the process at once.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.request_stop)
        while self._stop_at is None and not self.runner.broken:
            try:
                self.run_once()
                if self._pause:
                    logger.info("taking messages again queue=%s", self.queue_names()[0])
                self._pause = 0.0
                foreign = self._guard.foreign if self._guard else ""
                self._loop.turned(foreign or (LATE if self.runner.is_late() else ""))
            except Exception as error:  # noqa: BLE001  Redis or PostgreSQL does not answer, or a claim has a bug: go on
                self._outage(error)
        self._health.stop()
        logger.info("warm shutdown requested busy=%d grace_s=%g", self.runner.busy(), self.grace_seconds)
        self._tolerate(self.intake.hand_back)
        self._drain()
        self._tolerate(self.sign_off)
        return not self._cold and not self.runner.broken

    def run_once(self) -> int:
        """Take as many messages as there is room for, claim them, remove them from Redis; return their number.

        Return 0 after BLOCK_SECONDS if no message came or there was no room. After an exception the taken messages are
        kept, and the next call claims them before it takes others: a worker that can't claim must not take messages
        away from workers that can.
        """
        with suppress(OutOfMemoryError):  # Redis is out of memory: taking messages frees memory
            if self.registration.publish() and self.pubsub_thread is None:
                self.subscribe()  # type: ignore[no-untyped-call]  # here and below: RQ is typed in part
        self._loop.progressed()
        self.intake.report_loss()
        if not self.intake and not self._take():
            return 0
        if self._stop_at is not None:
            return 0
        if self.intake.unclaimed and self.runner.is_late():  # one of them may ask for a region whose answers are held
            self._freed.clear()
            self._freed.wait(BLOCK_SECONDS)
            return 0
        if self.intake.unclaimed:
            self._claim()
        # Only after the claim, because until then messages can be returned to the queue. One that is returned after its
        # claim is dropped at the next claim.
        return self.intake.settle()

    def _take(self) -> bool:
        """Take as many messages as there is room for; return False if there is no room or no message.

        Nothing is taken while answers wait for PostgreSQL: another worker of the region may be able to claim it.
        """
        self._freed.clear()
        room = min(self.runner.free(), self.claim_batch)
        foreign = self._guard.look() if self._guard else ""  # also without room: it learns of failovers there
        self._loop.progressed()
        if room <= 0 or foreign or self.runner.is_late():
            self._freed.wait(BLOCK_SECONDS)
            return False
        self.intake.take(room, BLOCK_SECONDS)
        self._loop.progressed()
        return bool(self.intake)

    def _claim(self) -> None:
        """Pass the messages that were read to the engine, which claims their region runs."""
        messages = self.intake.unclaimed
        ids = [message.dispatch_id for message in messages]
        self.registration.started(ids)
        try:
            self.runner.submit(messages, self._done, self._loop.progressed)
        except BaseException:
            self.registration.withdrawn(ids)
            raise
        self.intake.unclaimed = []

    def _done(self, message: Message, outcome: str) -> None:
        """Count an ended region run; called from the engine's threads."""
        self.registration.ended(message.dispatch_id, failed=outcome == "error")
        self._freed.set()

    def _outage(self, error: Exception) -> None:
        """Log the first failure of a series, wait longer after each, and make the next registration a full one."""
        if not self._pause:
            logger.error(
                "can't take messages, running calls go on queue=%s error=%s",
                self.queue_names()[0],
                error,
                exc_info=None if isinstance(error, RedisError) else error,
            )
        self._loop.turned("Redis refused or did not answer" if isinstance(error, RedisError) else problem_of(error))
        self._pause = min(max(self._pause * 2, 0.1), MAX_PAUSE_SECONDS)
        self.registration.forgotten()
        until = time.monotonic() + self._pause * random.uniform(0.5, 1)  # noqa: S311  spreads workers, hides nothing
        while self._stop_at is None and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.25))

    def _drain(self) -> None:
        """Drain the engine in another thread, so that this thread notices a second signal."""

        grace = self.grace_seconds - (time.monotonic() - (self._stop_at or time.monotonic()))

        def drain() -> None:
            try:
                self.runner.drain(max(0.0, grace))
            except Exception:
                logger.exception("unexpected error while ending the runs of a stopping worker")

        draining = threading.Thread(target=drain, name="drain", daemon=True)
        draining.start()
        while draining.is_alive() and not self._cold:
            draining.join(0.1)
        if self._cold:
            logger.warning("cold shutdown busy=%d", self.runner.busy())

    def sign_off(self) -> None:
        """Remove this worker's registration. Raises redis.exceptions.RedisError."""
        self.registration.publish(last=True)
        self.register_death()  # type: ignore[no-untyped-call]
        if self.pubsub_thread:
            self.pubsub_thread.stop()  # before RQ wakes the thread; otherwise it may sleep for another second
        self.unsubscribe()  # type: ignore[no-untyped-call]

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Note a signal. This must not raise, lock or log, because it may run between any two instructions."""
        if self._stop_at is None:
            self._stop_at = time.monotonic()
        elif time.monotonic() - self._stop_at >= SECOND_SIGNAL_SECONDS:
            self._cold = True

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Obey RQ's command `shutdown`, and ignore all other commands that are published to this worker."""
        try:
            command = parse_payload(message)["command"]
        except (ValueError, TypeError, KeyError, AttributeError):
            command = None
        if command == "shutdown":
            super().handle_payload(message)  # type: ignore[no-untyped-call]
        else:
            logger.warning("command ignored command=%.32r", command)

    def _tolerate(self, last_word: Callable[[], object]) -> None:
        """Call `last_word`, the last write to Redis, and log its failure, because Redis may be unreachable."""
        try:
            last_word()
        except RedisError as error:
            logger.warning("could not tell Redis that this worker stops step=%s error=%s", last_word.__name__, error)


def worker_name(region: str) -> str:
    """Return a name that no other worker has had: `us-<host>-<pid>-<random>`."""
    return f"{region.lower()}-{socket.gethostname().replace(':', '-')}-{os.getpid()}-{secrets.token_hex(2)}"


def connect(redis_url: str, timeout_seconds: float) -> Redis:
    """Return a worker's Redis client. An answer must arrive within the command's blocking time + `timeout_seconds`."""
    return open_client(redis_url, answer_seconds=BLOCK_SECONDS + timeout_seconds, connect_seconds=timeout_seconds)
