"""Parses received JSON strictly, and refuses what two parsers may read differently.

A signature is verified over the canonical form of the received object (RFC 8785). So this refuses everything that
canonical JSON or PostgreSQL's jsonb can't represent: duplicate keys, NaN, integers that are not exact as a double
(RFC 7493, 2.2), lone surrogates and U+0000.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from runner_core.errors import Rejected

MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1
_MARK = object()
_OF_PARAMETERS = r"\.(?:jobspec\.)?(?:(?:metadata\.)?models\[\d+\]\.)?parameters\.\w{1,64}(?:\[\d+\])?"


def parse_json(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw` (UTF-8, no byte order mark).

    Raises Rejected: malformed_json, duplicate_key, or validation_error for JSON that is not acceptable.
    """
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except _BadNumber as error:
        raise Rejected("validation_error", f"{_place_of_bad_number(raw)}{error.detail}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # JSONDecodeError or UnicodeDecodeError; our message must not quote the body
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise Rejected("malformed_json", f"The body is not valid JSON{where}.") from None
    if not isinstance(value, dict):
        raise Rejected("validation_error", "The body must be a JSON object.")
    _check(value, 1)
    return value


def member_bytes(raw: bytes, name: str) -> bytes:
    """Return the exact bytes of one member's value in the object `raw`, which parse_json has accepted.

    Raises KeyError if there is no such member.
    """
    text = raw.decode("utf-8")
    at = _after_space(text, text.index("{") + 1)
    while text[at] == '"':
        key, at = _DECODER.raw_decode(text, at)
        start = _after_space(text, _after_space(text, at) + 1)
        _, end = _DECODER.raw_decode(text, start)
        if key == name:
            return text[start:end].encode()
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    raise KeyError(name)


def _after_space(text: str, at: int) -> int:
    while text[at] in " \t\n\r":
        at += 1
    return at


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Rejected("duplicate_key", "An object in the body has the same key twice.")
    return found


class _BadNumber(Rejected):
    """A number in the body is not acceptable."""


def _integer(literal: str) -> int:
    # Check the length first: int() raises its own ValueError for more than 4,300 digits.
    if len(literal) > 17 or abs(value := int(literal)) > MAX_INTEGER:
        raise _BadNumber(detail="An integer in the body is beyond 2^53 - 1, where JSON readers differ.")
    return value


def _float(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):
        raise _BadNumber(detail="A number in the body does not fit a double.")
    return value


def _place_of_bad_number(raw: bytes) -> str:
    """Return `path: ` of the first bad number within `parameters`, else an empty text.

    The decoder tells its hooks no place, so the body is parsed once more, with bad numbers marked. Other names are not
    repeated: they could be a job's content.
    """
    try:
        path = _path_to_mark(json.loads(raw, parse_int=_marked(_integer), parse_float=_marked(_float)))
    except (RecursionError, ValueError, Rejected):
        return ""
    if path is None or not re.fullmatch(_OF_PARAMETERS, path):
        return ""
    return f"{path.removeprefix('.').removeprefix('jobspec.')}: "


def _marked(read: Callable[[str], object]) -> Callable[[str], object]:
    def hook(literal: str) -> object:
        try:
            return read(literal)
        except _BadNumber:
            return _MARK

    return hook


def _path_to_mark(value: object) -> str | None:
    """Return the path of the first bad number as its reader writes it: `models[2].parameters.top_k`."""
    if value is _MARK:
        return ""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        inner = _path_to_mark(item)
        if inner is not None:
            return f"[{key}]{inner}" if isinstance(key, int) else f".{key}{inner}"
    return None


def _constant(_: str) -> NoReturn:
    raise Rejected("malformed_json", "NaN and Infinity are not JSON.")


def _too_deep() -> Rejected:
    return Rejected("validation_error", f"The body is nested more than {MAX_DEPTH} levels deep.")


def _check(value: object, depth: int) -> None:
    """Refuse too deep nesting (the outermost object is level 1), and text that PostgreSQL or UTF-8 can't represent."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise _too_deep()
        if isinstance(value, dict):
            for key, item in value.items():
                _check_text(key)
                _check(item, depth + 1)
        else:
            for item in value:
                _check(item, depth + 1)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise Rejected("validation_error", "The body has U+0000 in a string.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Rejected("validation_error", "The body has a lone surrogate in a string.") from None


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
