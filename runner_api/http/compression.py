"""Answers in gzip for clients that take it: pages and JSON shrink to a tenth.

Written with the standard library: Flask's extensions for this bring further codecs and compress event streams too,
which would delay events. No secret is the same in two pages (runner_api/http/session.py masks the token of a form), so
the size of a compressed page reveals none (BREACH).
"""

import gzip

from flask import Flask, Response, request

MIN_BYTES = 1000  # a smaller answer fits into one packet either way
LEVEL = 5  # 433 KB of a large job's page: 24 KB in 6 ms; level 9 saves 2 KB for three times the time
_KINDS = frozenset({"application/json", "application/problem+json", "image/svg+xml", "application/javascript"})


def install(app: Flask) -> None:
    """Compress the answers of `app`."""
    app.after_request(_compressed)


def takes_gzip() -> bool:
    """Return whether the client of this request takes gzip."""
    return request.accept_encodings["gzip"] > 0


def compress(data: bytes) -> bytes:
    """Return `data` in gzip: equal data gives equal bytes."""
    return gzip.compress(data, LEVEL, mtime=0)


def is_text(mimetype: str) -> bool:
    """Return whether a body of this type is worth compressing."""
    return mimetype in _KINDS or (mimetype.startswith("text/") and mimetype != "text/event-stream")


def _compressed(response: Response) -> Response:
    if response.is_streamed or response.direct_passthrough or not is_text(response.mimetype or ""):
        return response
    if response.status_code in (204, 304) or "Content-Encoding" in response.headers:
        return response
    if (response.content_length or 0) < MIN_BYTES:
        return response
    response.vary.add("Accept-Encoding")
    if takes_gzip():
        response.set_data(compress(response.get_data()))
        response.headers["Content-Encoding"] = "gzip"
        tag, weak = response.get_etag()
        if tag and not weak:  # a strong tag would promise the bytes before compression
            response.set_etag(tag, weak=True)
    return response
