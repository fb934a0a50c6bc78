"""Reads how long a provider asks to be left alone, in the shapes that are in use."""

import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?")
# "1.5s", "250ms", "6m0s", "2h3m": Go's way to write a duration.
DURATION = re.compile(r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m(?!s))?(?:([0-9]{1,12}(?:\.[0-9]{1,12})?)s)?"
                      r"(?:([0-9]{1,12}(?:\.[0-9]{1,12})?)ms)?")  # fmt: skip
RESETS = re.compile(r"(?:x|anthropic)-ratelimit-(?:reset(-[a-z-]+)?|([a-z-]+)-reset)")
LONG_AGO = 10**9  # a larger number is a time, in Unix seconds


def rest_asked_for(status: int, headers: Mapping[str, str], document: Any, now: float) -> float | None:
    """Return the seconds to wait after an error; None if nothing was said. `now` is Unix time in seconds.

    The first of these that is there: `retry-after-ms`, `Retry-After` (RFC 9110, 10.2.3, or a decimal number), the
    `retryDelay` of google.rpc.RetryInfo in the body, and `x-ratelimit-reset-*` of a 429; other errors have nothing to
    do with that limit. Headers have names in lower case.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    if (asked := headers.get("retry-after", "").strip()) and (rest := _number_or_date(asked, now)) is not None:
        return rest
    if (delay := _retry_delay(document)) is not None:
        return delay
    return _reset(headers, now) if status == 429 else None


def _number_or_date(text: str, now: float) -> float | None:
    if NUMBER.fullmatch(text):
        return float(text)
    if (seconds := _duration(text)) is not None:
        return seconds
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)


def _duration(text: str) -> float | None:
    found = DURATION.fullmatch(text)
    if not found or not any(found.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _retry_delay(document: Any) -> float | None:
    """Return Google's delay: `details` of the error, of which one is a RetryInfo, "38s" or "38.5s"."""
    error = document[0] if isinstance(document, list) and document else document
    error = error.get("error") if isinstance(error, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(delay := detail.get("retryDelay"), str):
            return _duration(delay)
    return None


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    """Return when a used-up limit is reset: of those with nothing left the latest, else the earliest of all."""
    resets: list[float] = []
    used_up: list[float] = []
    for name, text in headers.items():
        found = RESETS.fullmatch(name)
        rest = _until(text.strip(), now) if found else None
        if found and rest is not None:
            resets.append(rest)
            if headers.get(name.replace("reset", "remaining"), "").strip() == "0":
                used_up.append(rest)
    if used_up:
        return max(used_up)
    return min(resets, default=None)


def _until(text: str, now: float) -> float | None:
    """Return the seconds until a reset: a duration, a number of seconds, a Unix time in s or ms, or RFC 3339."""
    if NUMBER.fullmatch(text):
        number = float(text)
        if number < LONG_AGO:
            return number
        return max(0.0, (number / 1000 if number > LONG_AGO * 1000 else number) - now)
    if (seconds := _duration(text)) is not None:
        return seconds
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
