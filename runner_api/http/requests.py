"""What every request gets: an id, an access line, its metrics, the headers of cross-origin clients."""

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
# A client may send any word as its method; each would be a time series of its own.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ALLOWED = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-ID, traceparent"
_EXPOSED = "ETag, Idempotency-Replayed, Location, Retry-After, X-Request-ID"


def install(app: Flask) -> None:
    """Begin and end every request of `app` this way."""
    app.before_request(_begin)
    app.after_request(_end)


def request_id() -> str:
    """This request's id: the client's X-Request-ID, else one of ours."""
    return str(g.request_id)


def traceparent() -> str:
    """This request's trace context (W3C Trace Context): the client's, else the first of a new trace."""
    return str(g.traceparent)


def _traceparent(ids: str) -> str:
    """The client's, read as version 00, as later versions must allow; a new one when it is absent or malformed."""
    sent = _TRACEPARENT.fullmatch(request.headers.get("traceparent", "").strip())
    if sent and (sent["version"] != "00" or not sent["more"]):
        return f"00-{sent['context']}"
    return f"00-{ids[:32]}-{ids[32:48]}-01"


def connection() -> socket.socket | None:
    """The client's connection, where the server tells: to see that a waiting client has gone."""
    found = request.environ.get("gunicorn.socket")
    return found if isinstance(found, socket.socket) else None


def label(rule: Rule) -> str:
    """A route's name in metrics, which does not say how a job's name is checked."""
    return rule.rule.replace("<job:", "<")


def _begin() -> Response | None:
    g.began = time.perf_counter()
    sent = request.headers.get("X-Request-ID", "")
    ids = f"{random.getrandbits(320):080x}"  # names and no secrets: the system need not be asked
    g.request_id = sent if _REQUEST_ID.fullmatch(sent) else ids[48:]
    g.traceparent = _traceparent(ids)
    context.set({"request_id": g.request_id, "trace_id": trace_id(g.traceparent)})
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return Response(status=204)
    return None


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    # What a cache keeps it must ask about again: a job changes.
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
