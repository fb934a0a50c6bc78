"""What may be in a message, and the RQ job class that runs nothing else.

Whoever can write to Redis can write job hashes. RQ would unpickle them, import any function they name, and call
callbacks and webhooks that they name besides. Here a message is JSON that names one function, and every other field
of the hash is ignored.
"""

import contextlib
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from redis import Redis
from redis.exceptions import ResponseError
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from runner_core.errors import BeaconError
from runner_worker import tasks

FUNCTION = "runner_worker.tasks.run_region"
ENVELOPE = {"id": str, "enqueued_at": str, "attempt": int, "request_id": str}
MAX_DATA_BYTES = 16_384
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


class ForeignCall(BeaconError):
    """The message is not a call of run_region with one envelope."""

    code = "foreign_call"


def envelope_of(data: bytes) -> dict[str, Any]:
    """Return the envelope `{"id", "enqueued_at", "attempt", "request_id"}` in a job hash's `data`.

    `data` is RQ's call tuple as JSON, plain or deflated. Raises ForeignCall for anything but the one allowed call;
    what passes is also safe to send to PostgreSQL.
    """
    try:
        function, instance, args, kwargs = orjson.loads(_inflate(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise ForeignCall from error
    if function != FUNCTION or instance is not None or args != [] or not isinstance(kwargs, dict):
        raise ForeignCall
    if {name: type(value) for name, value in kwargs.items()} != ENVELOPE:
        raise ForeignCall
    texts = (kwargs["enqueued_at"], kwargs["request_id"])
    if not all(len(text) <= 255 and text.isprintable() for text in texts):
        raise ForeignCall
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,255}", kwargs["id"]):
        raise ForeignCall
    return kwargs


def _inflate(data: bytes) -> bytes:
    """Undo RQ's compression where there is one, without following a small message to a gigabyte."""
    if data.startswith(b"["):  # plain, as our publisher writes it; deflated data begins with another byte (RFC 1950)
        return _bounded(data)
    with contextlib.suppress(zlib.error):
        data = zlib.decompressobj().decompress(data[:MAX_DATA_BYTES], MAX_DATA_BYTES + 1)
    return _bounded(data)


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_DATA_BYTES:
        raise ValueError("the message is too long")
    return data


class RegionJob(Job):
    """An RQ job that can only be one call of run_region: `rq worker --job-class runner_worker.job.RegionJob`.

    JSON whatever the worker was told, no callbacks, webhooks, dependents, retries, repeats, groups or rate limits,
    and no lifetimes but ours. A hash that can't be read fails as a job, so that it never ends the worker.
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
        except Exception:  # noqa: BLE001  whatever RQ's parsers raise: the job must fail, not the worker
            super().restore({b"data": b"-", b"origin": kept.get(b"origin", b"")})
        self.data = raw_data[b"data"]  # here, because RQ's own inflates without a limit
        self.timeout, self.result_ttl, self.failure_ttl = -1, 300, 86_400

    def _deserialize_data(self) -> None:
        try:
            self._func_name, self._kwargs = FUNCTION, envelope_of(self.data)
        except ForeignCall:
            self._func_name, self._kwargs = "refused", {}
        self._instance, self._args = None, []

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
