"""Query parameters of lists: numbers with limits, and a cursor, which names a place in the list and not a page.

A place is the (created_at, id) of the last row of the page before.
"""

import base64
import re
from collections.abc import Mapping

from flask import request

from runner_api.http.wire import timestamp, utc
from runner_core.errors import SpecError
from runner_core.queries import Row

MAX_PAGE = 200
MAX_OFFSET = 10_000  # PostgreSQL reads every row that is skipped
FIRST = "infinity"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,255}", re.ASCII)
_RESULT_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


def number(name: str, default: int, low: int, high: int) -> int:
    """Return the query parameter `name`. Raises SpecError outside low..high."""
    text = request.args.get(name)
    return default if text is None else _integer(name, text, low, high)


def header(name: str, default: int, low: int, high: int) -> int:
    """Return the request header `name` as a number. Raises SpecError outside low..high."""
    text = request.headers.get(name)
    return _integer(name, text, low, high) if text else default


def _integer(name: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
        raise SpecError(detail=f"{name} must be a number from {low} to {high}.")
    return int(text)


def page() -> int:
    """Return how many rows the client asks for, 50 by default."""
    return number("limit", 50, 1, MAX_PAGE)


def offset() -> int:
    """Return how many rows the client skips. Raises SpecError, offset_too_large above MAX_OFFSET."""
    digits = request.args.get("offset", "").lstrip("0")
    if re.fullmatch(r"[0-9]+", digits) and (len(digits) > 18 or int(digits) > MAX_OFFSET):
        detail = f"offset must be at most {MAX_OFFSET}: send the next_cursor of the page before as cursor instead."
        raise SpecError("offset_too_large", detail)
    return number("offset", 0, 0, MAX_OFFSET)


def cursor(values: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return the place after which to read a list of jobs. Raises SpecError for a cursor of another list.

    `values`: the fields of a form that has the cursor; without them it stands in the query.
    """
    return _cursor(_ID, request.args if values is None else values) or (FIRST, "")


def result_cursor() -> tuple[str, int]:
    """Return the place after which to read a list of results, whose ids are numbers. Raises SpecError."""
    created_at, result_id = _cursor(_RESULT_ID, request.args) or (FIRST, "0")
    return created_at, int(result_id)


def _cursor(ids: re.Pattern[str], values: Mapping[str, str]) -> tuple[str, str] | None:
    text = values.get("cursor")
    if not text:
        return None
    try:
        place = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        created_at, _, row_id = place.partition(" ")
        if ids.fullmatch(row_id):
            return utc(created_at).isoformat(), row_id
    except (ValueError, OverflowError):  # not base64, not UTF-8, not a time
        pass
    raise SpecError(detail="cursor must be the next_cursor of an earlier answer.")


def next_cursor(row: Row) -> str:
    """Return the cursor that names the place after `row`."""
    return as_cursor((timestamp(row["created_at"]), row["id"]))


def as_cursor(place: tuple[object, object]) -> str:
    """Return the cursor that names a place: (created_at as text, id)."""
    return base64.urlsafe_b64encode(f"{place[0]} {place[1]}".encode()).decode().rstrip("=")
