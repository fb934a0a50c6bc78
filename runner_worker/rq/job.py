"""An RQ job class that can only run a region.

Everyone who can write to Redis can write job hashes. RQ would unpickle them, import any function that they name, and
call their callbacks and webhooks. This class accepts only JSON that names one function, and ignores every other field.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from runner_queue.message import FUNCTION, ForeignCall, envelope_of
from runner_worker.rq import tasks
from runner_worker.rq.compat import JsonJob

DESCRIPTION = re.compile(rb"[A-Za-z0-9._:-]{1,64} [A-Za-z0-9._:-]{1,255}")  # a region and a job
READ_FIELDS = (
    b"description",
    b"origin",
    b"status",
    b"created_at",
    b"enqueued_at",
    b"started_at",
    b"ended_at",
    b"last_heartbeat",
)


class RegionJob(JsonJob):
    """An RQ job that can only be one call of run_region: `rq worker --job-class runner_worker.job.RegionJob`.

    It always uses JSON, whatever serializer the worker was given. It has no callbacks, webhooks, dependents, retries,
    repeats, groups or rate limits, and its own lifetimes. A hash that can't be read makes the job fail, not the worker.
    """

    def __init__(self, id: str | None = None, connection: Redis | None = None, serializer: object = None) -> None:
        super().__init__(id, connection, JSONSerializer)

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: object = None) -> Job:
        try:
            return super().fetch(id, connection)
        except (ValueError, TypeError, ResponseError) as error:  # not an RQ id, or not a hash
            raise NoSuchJobError(f"No such job: {id!r}") from error

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        if b"data" not in raw_data:
            raise NoSuchJobError("the hash has no data")
        kept = {name: raw_data[name] for name in READ_FIELDS if name in raw_data}
        if not re.fullmatch(rb"[A-Za-z0-9._-]{1,255}", kept.get(b"origin", b"")):
            kept.pop(b"origin", None)
        if not DESCRIPTION.fullmatch(kept.get(b"description", b"")):
            kept.pop(b"description", None)
        try:
            super().restore({**kept, b"data": b"-"})
        except Exception:  # noqa: BLE001  whatever RQ's parsers raise, the job must fail and not the worker
            super().restore({b"data": b"-", b"origin": kept.get(b"origin", b"")})
        self.data = raw_data[b"data"]  # set here, because RQ's own code inflates without a limit
        self.timeout, self.result_ttl, self.failure_ttl = -1, 300, 86_400

    def read_call(self) -> tuple[str, dict[str, Any]]:
        """Return run_region with the message's envelope; for any other call return the function name `refused`."""
        try:
            return FUNCTION, envelope_of(self.data)
        except ForeignCall:
            return "refused", {}

    @property
    def func(self) -> Callable[..., str]:
        envelope_of(self.data)
        return tasks.run_region

    @property
    def success_callback(self) -> None:
        return None

    @property
    def failure_callback(self) -> None:
        return None

    @property
    def stopped_callback(self) -> None:
        return None

    def send_webhooks(self, status: object, *, exc_string: str | None = None) -> None:
        return None
