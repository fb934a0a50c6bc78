"""Give every request an id, an access line, metrics, and the headers of cross-origin clients."""

import logging
import random
import re
import socket
import time
from urllib.parse import quote

from flask import Flask, Response, g, request
from werkzeug.routing import Rule

from runner_api.http.services import services
from runner_core.telemetry import HTTP_DURATION, HTTP_REQUESTS, context, series, trace_id

log = logging.getLogger("api.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<context>(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?P<more>-.*)?",
    re.ASCII,
)
# A client may send any word as the method, and each would become a time series. Other words are counted as "other".
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ALLOWED = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-ID, traceparent"
_EXPOSED = "ETag, Idempotency-Replayed, Location, Retry-After, X-Request-ID"


def install(app: Flask) -> None:
    """Run these functions before and after every request of `app`."""
    app.before_request(_begin)
    app.after_request(_end)


def request_id() -> str:
    """Return the id of this request: the client's X-Request-ID, else a random one."""
    return str(g.request_id)


def traceparent() -> str:
    """Return the trace context of this request (W3C Trace Context): the client's, else that of a new trace."""
    return str(g.traceparent)


def _traceparent(ids: str) -> str:
    """Return the client's trace context, read as version 00; a new one when it is absent or malformed.

    Later versions of the format must allow reading them as version 00.
    """
    sent = _TRACEPARENT.fullmatch(request.headers.get("traceparent", "").strip())
    if sent and (sent["version"] != "00" or not sent["more"]):
        return f"00-{sent['context']}"
    return f"00-{ids[:32]}-{ids[32:48]}-01"


def connection() -> socket.socket | None:
    """Return the client's socket where the server passes it on. It shows that a waiting client has left."""
    found = request.environ.get("gunicorn.socket")
    return found if isinstance(found, socket.socket) else None


def label(rule: Rule) -> str:
    """Return the label of a route in metrics, without the converters that check ids of jobs and methods."""
    return rule.rule.replace("<job:", "<").replace("<method:", "<")


def _begin() -> Response | None:
    g.began = time.perf_counter()
    sent = request.headers.get("X-Request-ID", "")
    ids = f"{random.getrandbits(320):080x}"  # ids are no secrets, so they need no system entropy
    g.request_id = sent if _REQUEST_ID.fullmatch(sent) else ids[48:]
    g.traceparent = _traceparent(ids)
    context.set({"request_id": g.request_id, "trace_id": trace_id(g.traceparent)})
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return Response(status=204)
    return None


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    # A cache must revalidate every answer, because jobs change.
    response.headers.setdefault("Cache-Control", "no-cache")
    _cross_origin(response)
    seconds = time.perf_counter() - g.began
    path = label(request.url_rule) if request.url_rule else "unmatched"
    method = request.method if request.method in _METHODS else "other"
    series(HTTP_REQUESTS, path, method, str(response.status_code)).inc()
    series(HTTP_DURATION, path, method).observe(seconds)
    log.info(
        "%s %s %d %.1fms request_id=%s", method, quote(request.path), response.status_code, seconds * 1000, g.request_id
    )
    return response


def _cross_origin(response: Response) -> None:
    allowed = services().settings.api.cors_origins
    if not allowed:
        return
    response.vary.add("Origin")
    origin = request.headers.get("Origin", "")
    if not origin or (origin not in allowed and "*" not in allowed):
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST"
        response.headers["Access-Control-Allow-Headers"] = _ALLOWED
        response.headers["Access-Control-Max-Age"] = "600"
