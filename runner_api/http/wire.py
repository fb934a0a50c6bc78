"""JSON as it goes over the wire: times in RFC 3339 UTC, rates as numbers, uuids as text."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from flask import Response


def reply(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(dumps(body), status, headers, content_type="application/json")


def dumps(body: Mapping[str, Any]) -> str:
    """`body` as JSON. Raises TypeError for what has no form on the wire."""
    return orjson.dumps(body, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()


def timestamp(time: datetime | None) -> str | None:
    """RFC 3339 in UTC, with the fraction that the time has."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _plain(value: object) -> str | float | None:
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no form on the wire")
