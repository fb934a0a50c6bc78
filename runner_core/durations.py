"""Chooses and formats durations, for pages and terminals."""

from collections.abc import Mapping
from typing import Any


def duration(ms: int | float | None) -> str:
    """Return milliseconds as `157 ms`, `1.2 s`, `1 min 2 s` or `1 h 30 min`; an empty text for None."""
    if ms is None:
        return ""
    if round(ms) < 1000:
        return f"{ms:.0f} ms"
    if round(ms / 100) < 600:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s".removesuffix(" 0 s")
    return f"{minutes // 60} h {minutes % 60} min".removesuffix(" 0 min")


def speed_ms(row: Mapping[str, Any]) -> int | None:
    """Return the milliseconds that a call's answer took without waiting; of an earlier release, its whole duration."""
    answered: int | None = row.get("answered_ms")
    whole: int | None = row.get("duration_ms")
    return whole if answered is None else answered
