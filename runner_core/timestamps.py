"""Formats moments as clients, error objects and heartbeats write them."""

from datetime import UTC, datetime


def timestamp(moment: datetime | None = None) -> str:
    """Return a moment, now if none is given, in RFC 3339: UTC with milliseconds, `2026-11-26T13:06:23.250Z`."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
