"""Answers in gzip for clients that take it: pages and JSON shrink to a tenth.

Standard library alone: extensions for this bring codecs of their own and compress event streams, which must not be
held back. No secret stays the same in the pages (runner_api/http/session.py masks a form's token), so their
size tells none.
"""

import gzip

from flask import Flask, Response, request

SMALLEST = 1000  # bytes; below it a packet is a packet
LEVEL = 5  # 433 KB of a large job's page: 24 KB in 6 ms; level 9 saves 2 KB for three times the time
_KINDS = frozenset({"application/json", "application/problem+json", "image/svg+xml", "application/javascript"})


def install(app: Flask) -> None:
    """Compress what `app` answers."""
    app.after_request(_compressed)


def takes_gzip() -> bool:
    """Whether this request's client takes gzip."""
    return request.accept_encodings["gzip"] > 0


def compress(data: bytes) -> bytes:
    """`data` in gzip; the same bytes for the same data."""
    return gzip.compress(data, LEVEL, mtime=0)


def is_text(mimetype: str) -> bool:
    """Whether it is worth compressing."""
    return mimetype in _KINDS or (mimetype.startswith("text/") and mimetype != "text/event-stream")


def _compressed(response: Response) -> Response:
    if response.is_streamed or response.direct_passthrough or not is_text(response.mimetype or ""):
        return response
    if response.status_code in (204, 304) or "Content-Encoding" in response.headers:
        return response
    if (response.content_length or 0) < SMALLEST:
        return response
    response.vary.add("Accept-Encoding")
    if takes_gzip():
        response.set_data(compress(response.get_data()))
        response.headers["Content-Encoding"] = "gzip"
        tag, weak = response.get_etag()
        if tag and not weak:  # a strong one would name other bytes
            response.set_etag(tag, weak=True)
    return response
