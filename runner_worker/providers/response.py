"""Parses one HTTP response from bytes as they arrive, within limits. Uses no sockets.

The parser is httptools (llhttp of Node.js, in C): it takes 2 us per answer, h11 takes 80 us.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import httptools

from runner_worker.providers.failures import TryFailed

LARGEST_ANSWER = 2 * 1024 * 1024  # bytes
LARGEST_HEAD = 100 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response. `headers`: by their names in lower case; of a header that came twice, the last."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class ResponseReader:
    """Parses one response. Owned by the connection that receives it."""

    __slots__ = ("_body", "_framed", "_headers", "_parser", "_seen", "_too_large", "complete", "keep_alive", "status")

    def __init__(self) -> None:
        self.status = 0
        self.complete = False
        self.keep_alive = False  # whether the connection may be used again
        self._headers: dict[bytes, bytes] | None = None  # None until the head is complete
        self._seen: dict[bytes, bytes] = {}
        self._framed = False  # the response has a length or chunks; else it ends when the connection is closed
        self._too_large = False
        self._body = bytearray()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> bool:
        """Parse received bytes. Return whether the response is complete. Raises TryFailed."""
        if self._parser is None:  # bytes after the response, without a request
            self.keep_alive = False
            return True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.complete:
                raise TryFailed("not_http") from None
            self.keep_alive = False
        if self._too_large:
            raise TryFailed("answer_too_large")
        if self._headers is None and not self.complete:
            self._body += data  # until the head is complete, `_body` only counts the head's bytes
            if len(self._body) > LARGEST_HEAD:
                raise TryFailed("answer_too_large")
        if self.complete:
            self._parser = None  # parser and reader refer to each other: break the cycle
        return self.complete

    def end(self) -> bool:
        """Note that the provider has closed the connection. Return whether the response is complete."""
        if self._headers is not None and not self._framed:
            self.complete, self.keep_alive = True, False
        self._parser = None
        return self.complete

    def response(self) -> Response:
        """Return the complete response."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in (self._headers or {}).items()}
        return Response(self.status, bytes(self._body), headers)

    # The methods that the parser calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self.keep_alive = False  # a second response, without a request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headers is None and not self.complete:  # else it is a trailer
            self._seen[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self.complete or self._parser is None:
            return
        self.status = self._parser.get_status_code()
        self._headers, self._seen = self._seen, {}
        self._body.clear()
        length = self._headers.get(b"content-length", b"")
        self._framed = bool(length) or b"transfer-encoding" in self._headers
        self._too_large = length.isdigit() and int(length) > LARGEST_ANSWER

    def on_body(self, body: bytes) -> None:
        if self.complete:
            return
        self._body += body
        if len(self._body) > LARGEST_ANSWER:
            self._too_large = True
            self._body.clear()

    def on_message_complete(self) -> None:
        if self.complete or self._parser is None:
            return
        if 100 <= self.status < 200:  # an interim response (100, 103): the final response follows
            self._headers = None
            return
        self.complete = True
        self.keep_alive = self._parser.should_keep_alive()
