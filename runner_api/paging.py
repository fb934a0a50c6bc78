"""Query parameters of lists: bounded numbers, and a cursor that names a place and not a page."""

import base64
import re
from datetime import UTC, datetime

from flask import request

from runner_api.wire import timestamp
from runner_core.errors import SpecError
from runner_core.queries import Row

LONGEST_PAGE = 200
FIRST = ("infinity", "")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,255}", re.ASCII)


def number(name: str, default: int, low: int, high: int) -> int:
    """The query parameter `name`. Raises SpecError outside low..high."""
    text = request.args.get(name)
    return default if text is None else _whole(name, text, low, high)


def header(name: str, default: int, low: int, high: int) -> int:
    """The same for a header."""
    text = request.headers.get(name)
    return _whole(name, text, low, high) if text else default


def _whole(name: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
        raise SpecError(detail=f"{name} must be a number from {low} to {high}.")
    return int(text)


def page() -> int:
    """How many rows the client wants: 50 unless it says so."""
    return number("limit", 50, 1, LONGEST_PAGE)


def cursor() -> tuple[str, str]:
    """The (created_at, id) after which the client wants to read on. Raises SpecError for a cursor that is not ours."""
    text = request.args.get("cursor")
    if not text:
        return FIRST
    try:
        place = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        created_at, _, job_id = place.partition(" ")
        if _ID.fullmatch(job_id):
            return datetime.fromisoformat(created_at).astimezone(UTC).isoformat(), job_id
    except (ValueError, OverflowError):  # not base64, not UTF-8, not a time
        pass
    raise SpecError(detail="cursor must be the next_cursor of an earlier answer.")


def next_cursor(row: Row) -> str:
    """Names the place after `row`."""
    return base64.urlsafe_b64encode(f"{timestamp(row['created_at'])} {row['id']}".encode()).decode().rstrip("=")
