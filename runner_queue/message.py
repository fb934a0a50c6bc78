"""The format of a message in Redis: RQ's keys, and RQ's call tuple as JSON, in which only one call is allowed.

Everyone who can write to Redis can write job hashes. So a message is JSON, never a pickle; it must name one function
with one envelope, and every other field of the hash is ignored.
"""

import contextlib
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from runner_core.errors import BeaconError
from runner_core.message import ENVELOPE, TOPIC_PREFIX

FUNCTION = "runner_worker.tasks.run_region"  # by name: the publisher never imports the worker
MAX_DATA_BYTES = 16_384  # a real envelope has a few hundred bytes
QUEUES_KEY = "rq:queues"
_json = json.JSONEncoder(allow_nan=False).encode


def queue_key(queue: str) -> str:
    """Return the key of the list of the dispatch ids that wait in `queue`: the queue of a topic in a cell."""
    return f"rq:queue:{queue}"


def moved_key(queue: str) -> str:
    """Return the key of the list to which a stock RQ worker moves an id until it starts."""
    return f"rq:queue:{queue}:intermediate"


def job_key(dispatch_id: str) -> str:
    """Return the key of a message's hash."""
    return f"rq:job:{dispatch_id}"


def encode(topic: str, dispatch_id: str, payload: Mapping[str, Any]) -> bytes:
    """Return RQ's call tuple as JSON (function, instance, args, kwargs). Raises ValueError or TypeError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", dispatch_id):
        raise ValueError(f"dispatch id {dispatch_id!r} is not an RQ id")
    if not re.fullmatch(r"[a-z0-9._-]{1,255}", topic):
        raise ValueError(f"topic {topic!r} is not a queue name")
    data = _json([FUNCTION, None, [], payload]).encode()
    if len(data) > MAX_DATA_BYTES:
        raise ValueError(f"the message has {len(data)} bytes, more than {MAX_DATA_BYTES}")
    return data


def description(topic: str, payload: Mapping[str, Any]) -> str:
    """Return the text that RQ's tools show for a message: region and job, `US job-1`."""
    return f"{topic.removeprefix(TOPIC_PREFIX).upper()} {payload.get('id', '')}"


class ForeignCall(BeaconError):
    """The message is not a call of run_region with one envelope."""

    code = "foreign_call"


def envelope_of(data: bytes) -> dict[str, Any]:
    """Return the envelope `{"id", "enqueued_at", "attempt", "request_id"}` in a job hash's `data`.

    `data` is RQ's call tuple as JSON, plain or deflated. Raises ForeignCall for anything but the one allowed call. The
    returned texts contain nothing that PostgreSQL refuses.
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
    """Undo RQ's compression if there is any, up to a limit: a small message could inflate to a gigabyte."""
    if data.startswith(b"["):  # plain, as our publisher writes it; deflated data begins with another byte (RFC 1950)
        return _bounded(data)
    with contextlib.suppress(zlib.error):
        data = zlib.decompressobj().decompress(data[:MAX_DATA_BYTES], MAX_DATA_BYTES + 1)
    return _bounded(data)


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_DATA_BYTES:
        raise ValueError("the message is too long")
    return data
