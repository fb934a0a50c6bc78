"""Sends a JSON object to a provider by HTTP and returns the JSON object of the answer.

Follows redirects to the same origin only. Hides the API key where a provider repeats it.
"""

import json
import re
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

from runner_worker.providers.ask import Ask, TryFailed, pause
from runner_worker.providers.connections import Connections, Headers
from runner_worker.providers.received import Received, received, redirect_refused

HOP_SECONDS = 1.0  # least time between two redirected requests, with which a result is polled
SAFE_HEADER = re.compile(r"[\x21-\x7e]{1,255}")


class HttpClient:
    """The HTTP client for one base_url. Clients of the same origin share one `Connections` object."""

    def __init__(self, base_url: str, key: str, connections: Connections, read_seconds: float) -> None:
        self._base = base_url.rstrip("/")
        self._connections = connections
        self._read_seconds = read_seconds
        self._secrets = (key,) if key else ()  # hidden where the provider repeats them
        self._headers: Headers = [
            (b"Host", urlsplit(base_url).netloc.encode("ascii")),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),  # a compressed answer could unpack to any size
            (b"User-Agent", b"beacon-runner"),
        ]
        if key:
            self._headers.append((b"Authorization", b"Bearer " + key.encode("ascii")))

    async def post(self, path: str, document: dict[str, Any], ask: Ask) -> Received:
        """Send a JSON object and return a 2xx answer's JSON object with the answer's headers.

        Follows status 303 to the same origin until the deadline: Modal answers 303 while a result is not ready.
        Raises TryFailed, and Filtered if the provider's filter blocked the prompt.
        """
        body = json.dumps(document).encode("ascii")
        headers = [*self._headers, *_trace_headers(ask)]
        url, method = self._base + path, b"POST"
        content: bytes | None = body
        content_headers: Headers = [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(body)).encode("ascii")),
        ]
        while True:
            started = time.monotonic()
            until = min(ask.deadline, started + self._read_seconds)
            try:
                response = await self._connections.exchange(
                    method, _target(url), [*headers, *content_headers], content, until
                )
            except TryFailed as failed:
                if failed.fault.kind == "timeout" and time.monotonic() >= ask.deadline:
                    raise TryFailed("timeout", stage=failed.stage) from None
                raise
            location = response.headers.get("location", "")
            if 300 <= response.status < 400 and response.status != 303:
                raise redirect_refused(response.status, url, location)
            if response.status != 303:
                return received(response, self._secrets)
            url = self._same_origin(url, location)
            method, content, content_headers = b"GET", None, []
            await pause(HOP_SECONDS - (time.monotonic() - started), ask.deadline, "response")

    def _same_origin(self, url: str, location: str) -> str:
        """Return the redirect's absolute URL. Raise TryFailed for another origin: the redirected request carries the
        API key, and its answer would be trusted."""
        try:
            target = urljoin(url, location)
            if location and origin(target) == origin(self._base):
                return target
        except ValueError:
            pass
        raise redirect_refused(303, url, location)


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port. Raises ValueError if the URL is not http or https, or its host is not ASCII."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.netloc.isascii():
        raise ValueError("its base_url must be an http or https URL with a host in ASCII")
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _target(url: str) -> bytes:
    parts = urlsplit(url)
    return (parts.path or "/").encode("utf-8") + (b"?" + parts.query.encode("utf-8") if parts.query else b"")


def _trace_headers(ask: Ask) -> Headers:
    """Return the headers of request id and trace. A client chose the values, so only safe characters are sent."""
    chosen = ((b"X-Request-ID", ask.request_id), (b"traceparent", ask.traceparent))
    return [(name, value.encode("ascii")) for name, value in chosen if SAFE_HEADER.fullmatch(value or "")]
