"""Write JSON for clients: times in RFC 3339 UTC, rates as numbers, uuids as text."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from flask import Response


def reply(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(dumps(body), status, headers, content_type="application/json")


def dumps(body: Mapping[str, Any]) -> str:
    """Return `body` as JSON. Raises TypeError for a type without a JSON form."""
    return orjson.dumps(body, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()


def timestamp(time: datetime | None) -> str | None:
    """Return the time in RFC 3339 and UTC, with the fraction of a second that it has."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def utc(text: str) -> datetime:
    """Return the time that a text of ISO 8601 names, in UTC; one without a zone is UTC.

    Raises ValueError for another text, OverflowError for a time outside the calendar.
    """
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def _plain(value: object) -> str | float | None:
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
