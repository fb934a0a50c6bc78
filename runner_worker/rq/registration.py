"""Registers a worker for RQ's own tools (`rq info`, dashboards): name, state, counts, running ids.

RQ writes these with every job. Here they are written at most once a second, if they have changed, in one round trip.
"""

import threading
import time
from collections.abc import Iterable

from rq import Queue, Worker, worker_registration
from rq.utils import now, utcformat
from rq.worker import WorkerStatus

PUBLISH_SECONDS = 1.0  # the longest delay of what the tools show
BEAT_SECONDS = 15.0  # time between full registrations, which also restore the registration in an emptied Redis
GONE_SECONDS = 60  # a worker without a beat for so long is no longer listed


Facts = dict[bytes | bytearray | memoryview | str | int | float, bytes | bytearray | memoryview | str | int | float]


class RqRegistration:
    """Writes one worker's registration. The engine's threads may call `ended`; only the worker's thread calls the
    rest."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._counting = threading.Lock()
        self._running: dict[str, float] = {}  # dispatch id -> time.monotonic()
        self._listed: set[str] = set()
        self._published: Facts = {}
        self._next_beat = self._next_publish = 0.0

    def started(self, ids: Iterable[str]) -> None:
        clock = time.monotonic()
        with self._counting:
            self._running.update((id_, clock) for id_ in ids)

    def withdrawn(self, ids: Iterable[str]) -> None:
        """Undo `started`, because the claim failed."""
        with self._counting:
            for id_ in ids:
                self._running.pop(id_, None)

    def ended(self, id_: str, failed: bool) -> None:
        with self._counting:
            started = self._running.pop(id_, None)
            if started is not None:
                self.worker.total_working_time += time.monotonic() - started
            self._count(failed)

    def refused(self) -> None:
        """Count a message that was not a call of run_region."""
        with self._counting:
            self._count(failed=True)

    def forgotten(self) -> None:
        """Make the next `publish` a full registration, because Redis was unreachable."""
        self._next_beat = self._next_publish = 0.0

    def publish(self, last: bool = False) -> bool:
        """Write changes to Redis if a write is due, and everything if a beat is due. Return whether it was a beat.

        With `last`, write at once and list no running ids. Raises redis.exceptions.RedisError.
        """
        clock = time.monotonic()
        if clock < self._next_publish and not last:
            return False
        self._next_publish = clock + PUBLISH_SECONDS
        running, facts = self._facts()
        if last:
            running = set()
        beat = clock >= self._next_beat and not last
        if facts == self._published and running == self._listed and not beat:
            return False
        worker, queue = self.worker, self.worker.queues[0]
        registry = queue.started_job_registry.key
        worker.last_heartbeat = now()
        pipe = worker.connection.pipeline(transaction=False)
        if fresh := running if beat else running - self._listed:
            expiry = time.time() + GONE_SECONDS
            pipe.zadd(registry, {f"{id_}:{worker.name}": expiry for id_ in fresh})
        if stale := self._listed - running:
            pipe.zrem(registry, *(f"{id_}:{worker.name}" for id_ in stale))
        if beat:
            pipe.hset(worker.key, mapping={**worker.serialize(), **facts})
            pipe.sadd(Queue.redis_queues_keys, queue.key)
            worker_registration.register(worker, pipe)
            pipe.expire(worker.key, GONE_SECONDS)
        else:
            pipe.hset(worker.key, mapping={**facts, "last_heartbeat": utcformat(worker.last_heartbeat)})
        pipe.execute()
        self._listed, self._published = running, facts
        if beat:
            self._next_beat = clock + BEAT_SECONDS
        return beat

    def _count(self, failed: bool) -> None:
        if failed:
            self.worker.failed_job_count += 1
        else:
            self.worker.successful_job_count += 1

    def _facts(self) -> tuple[set[str], Facts]:
        with self._counting:
            return set(self._running), {
                "state": (WorkerStatus.BUSY if self._running else WorkerStatus.IDLE).value,
                "successful_job_count": self.worker.successful_job_count,
                "failed_job_count": self.worker.failed_job_count,
                "total_working_time": round(self.worker.total_working_time, 3),
            }
