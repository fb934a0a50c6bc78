"""Query parameters of lists: bounded numbers, and a cursor that names a place and not a page.

A place is the (created_at, id) of the last row of the page before.
"""

import base64
import re
from datetime import UTC, datetime

from flask import request

from runner_api.http.wire import timestamp
from runner_core.errors import SpecError
from runner_core.queries import Row

LONGEST_PAGE = 200
LARGEST_OFFSET = 10_000  # rows that are skipped are read, one by one
FIRST = "infinity"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,255}", re.ASCII)
_RESULT_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


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


def offset() -> int:
    """How many rows the client wants to skip. Raises SpecError, with a code of its own for too many."""
    digits = request.args.get("offset", "").lstrip("0")
    if re.fullmatch(r"[0-9]+", digits) and (len(digits) > 18 or int(digits) > LARGEST_OFFSET):
        detail = f"offset must be at most {LARGEST_OFFSET}: send the next_cursor of the page before as cursor instead."
        raise SpecError("offset_too_large", detail)
    return number("offset", 0, 0, LARGEST_OFFSET)


def cursor() -> tuple[str, str]:
    """The place after which the client wants to read on in a list of jobs. Raises SpecError for a cursor of another."""
    return _cursor(_ID) or (FIRST, "")


def result_cursor() -> tuple[str, int]:
    """The same in a list of results, whose ids are numbers."""
    created_at, result_id = _cursor(_RESULT_ID) or (FIRST, "0")
    return created_at, int(result_id)


def _cursor(ids: re.Pattern[str]) -> tuple[str, str] | None:
    text = request.args.get("cursor")
    if not text:
        return None
    try:
        place = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        created_at, _, row_id = place.partition(" ")
        if ids.fullmatch(row_id):
            return datetime.fromisoformat(created_at).astimezone(UTC).isoformat(), row_id
    except (ValueError, OverflowError):  # not base64, not UTF-8, not a time
        pass
    raise SpecError(detail="cursor must be the next_cursor of an earlier answer.")


def next_cursor(row: Row) -> str:
    """Names the place after `row`."""
    return base64.urlsafe_b64encode(f"{timestamp(row['created_at'])} {row['id']}".encode()).decode().rstrip("=")
