"""Read request bodies: JSON of a limited size, kept as bytes, because signatures and digests are of those bytes."""

from typing import Any

from flask import request

from runner_core.errors import Rejected
from runner_core.strict_json import parse_json

LIMIT = 1 << 20  # bytes


def read_json(*, optional: bool = False) -> tuple[bytes, dict[str, Any]]:
    """Return the body's bytes and its JSON object; (b"", {}) for an absent `optional` body.

    Raises Rejected: body_too_large, unsupported_media_type, malformed_json, duplicate_key, validation_error.
    """
    raw = _read()
    if optional and not raw:
        return b"", {}
    _check_kind()
    if not raw:
        raise Rejected("malformed_json", "The body is empty.")
    return raw, parse_json(raw)


def _read() -> bytes:
    # A Content-Length over the limit is refused unread. A chunked body has none, and Flask's limit would cut it.
    if (request.content_length or 0) <= LIMIT:
        parts, size = [], 0
        while size <= LIMIT and (part := request.stream.read(LIMIT + 1 - size)):
            parts.append(part)
            size += len(part)
        if size <= LIMIT:
            return b"".join(parts)
    raise Rejected("body_too_large", f"The body is larger than {LIMIT} bytes.")


def _check_kind() -> None:
    """Check that the body is plain JSON in UTF-8. Raises Rejected unsupported_media_type with the reason."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
        raise Rejected("unsupported_media_type", "Send the body without a Content-Encoding: no encoding is accepted.")
    if request.content_type == "application/json":  # as nearly every client sends it: skip the parsing below
        return
    kind = request.mimetype
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Rejected("unsupported_media_type", "Send JSON, with Content-Type: application/json.")
    if request.mimetype_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise Rejected("unsupported_media_type", "Send the JSON in UTF-8: no other encoding is accepted.")
