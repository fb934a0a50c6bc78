"""Sends a JSON object to a provider by HTTP and returns the JSON object of the answer.

Follows redirects to the same origin only. Hides our secrets where a provider repeats them.
"""

import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from runner_core.origins import origin
from runner_core.provider_access import Access, with_headers
from runner_core.upstreams import Provider
from runner_worker.providers.ask import Ask, pause
from runner_worker.providers.connections import Connections, Headers
from runner_worker.providers.failures import TryFailed
from runner_worker.providers.hidden import rare
from runner_worker.providers.received import Received, received, redirect_refused

HOP_SECONDS = 1.0  # least time between two redirected requests, with which a result is polled
SAFE_HEADER = re.compile(r"[\x21-\x7e]{1,255}")


class HttpClient:
    """The HTTP client of one provider. Clients that reach one origin in the same way share one `Connections` object.

    `headers`: those that each request has; they come before the client's own.
    """

    def __init__(
        self,
        provider: Provider,
        access: Access,
        connections: Connections,
        read_seconds: float,
        headers: Mapping[str, str],
    ) -> None:
        self._base = provider.base_url.rstrip("/")
        self._query = "?" + urlencode(provider.query, quote_via=quote) if provider.query else ""
        self._origin = access.origin
        self._connections = connections
        self._read_seconds = read_seconds
        # Our secrets are hidden where the provider repeats them; in an answer only those that are no common words.
        self._secrets = access.secrets
        self._rare_secrets = rare(access.secrets)
        own = {
            "Host": urlsplit(provider.base_url).netloc,
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # a compressed answer could unpack to any size
            "User-Agent": "beacon-runner",
        }
        sent = with_headers(own, headers).items()
        self._headers: Headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in sent]

    async def post(self, path: str, document: dict[str, Any], ask: Ask) -> Received:
        """Send a JSON object and return a 2xx answer's JSON object with the answer's headers.

        Follows status 303 to the same origin until the deadline: Modal answers 303 while a result is not ready.
        Raises TryFailed, and Filtered if the provider's filter blocked the prompt.
        """
        body = json.dumps(document).encode("ascii")
        headers = [*self._headers, *_trace_headers(ask)]
        url, method = self._base + path + self._query, b"POST"
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
                raise redirect_refused(response.status, url, location, self._secrets)
            if response.status != 303:
                return received(response, self._secrets, self._rare_secrets)
            url = self._same_origin(url, location)
            method, content, content_headers = b"GET", None, []
            await pause(HOP_SECONDS - (time.monotonic() - started), ask.deadline, "response")

    def _same_origin(self, url: str, location: str) -> str:
        """Return the redirect's absolute URL. Raise TryFailed for another origin: the redirected request carries the
        API key, and its answer would be trusted."""
        try:
            target = urljoin(url, location)
            if location and origin(target) == self._origin:
                return target
        except ValueError:
            pass
        raise redirect_refused(303, url, location, self._secrets)


def _target(url: str) -> bytes:
    parts = urlsplit(url)
    return (parts.path or "/").encode("utf-8") + (b"?" + parts.query.encode("utf-8") if parts.query else b"")


def _trace_headers(ask: Ask) -> Headers:
    """Return the headers of request id and trace. A client chose the values, so only safe characters are sent."""
    chosen = ((b"X-Request-ID", ask.request_id), (b"traceparent", ask.traceparent))
    return [(name, value.encode("ascii")) for name, value in chosen if SAFE_HEADER.fullmatch(value or "")]
