"""Refuse a request that never reaches the application: with a problem like any other, then the connection is closed.

The answer is written to the socket, because the framework has no request to answer.
"""

import logging
import random
from email.utils import formatdate
from http import HTTPStatus

from gunicorn.http import errors  # type: ignore[import-untyped]  # it ships no types

from runner_api.http.problems import CONTENT_TYPE, HEADERS, problem_body
from runner_core.telemetry import HTTP_REQUESTS, series

log = logging.getLogger("api.access")

LATE = (408, "request_timeout", "The request did not arrive in time.")
BROKEN_OFF = (400, "malformed_request", "The request ended before it was complete.")
BUSY = (503, "server_busy", "Too many requests are arriving. Try again shortly.")
TOO_LARGE = {
    413: (413, "body_too_large", "The body is larger than this server takes."),
    431: (431, "headers_too_large", "The headers are larger than this server takes."),
}
_MALFORMED = (400, "malformed_request", "The request is not valid HTTP/1.1.")
# The answer to each error of the parser. The text of the error is left out, because it quotes what was sent.
_PARSED = {
    errors.LimitRequestLine: (414, "uri_too_long", "The address is longer than this server takes."),
    errors.LimitRequestHeaders: TOO_LARGE[431],
    errors.ExpectationFailed: (417, "expectation_failed", "The only expectation that can be met is 100-continue."),
    errors.UnsupportedTransferCoding: (501, "not_implemented", "The only transfer coding taken is chunked."),
    errors.InvalidChunkSize: (400, "malformed_body", "A chunk of the body has no valid size."),
    errors.InvalidChunkExtension: (400, "malformed_body", "A chunk of the body has an extension that is not valid."),
    errors.ChunkMissingTerminator: (400, "malformed_body", "A chunk of the body does not end where it says."),
}
_OURS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)


def of_parser(error: BaseException) -> tuple[int, str, str] | None:
    """Return status, code and detail for an error of gunicorn's parser, None for any other error."""
    if not isinstance(error, errors.ParseException) or isinstance(error, _OURS):
        return None
    return _PARSED.get(type(error), _MALFORMED)


def answer(status: int, code: str, detail: str, path: str = "") -> bytes:
    """Return the bytes of the answer, counted and logged like any other. Close the connection after sending it."""
    request_id = f"{random.getrandbits(128):032x}"  # an id is no secret
    series(HTTP_REQUESTS, "unmatched", "other", str(status)).inc()
    log.info("%d %s before the application request_id=%s", status, code, request_id)
    body = problem_body(status, code, detail, path).encode()
    headers = {
        "Date": formatdate(usegmt=True),
        "Connection": "close",
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-ID": request_id,
        **HEADERS.get(code, {}),
    }
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
