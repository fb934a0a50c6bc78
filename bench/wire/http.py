"""Requests and answers of HTTP/1.1 with a Content-Length, one at a time. Source: RFC 9112, section 6."""

import re
from collections.abc import Iterator

from bench.wire.message import Message


class HttpReader:
    """A connection of HTTP/1.1 whose bodies have a Content-Length; one request at a time."""

    def __init__(self) -> None:
        self._in, self._out = b"", b""

    def sent(self, data: bytes) -> Iterator[Message]:
        """Yield the requests that `data` completes."""
        self._in += data
        while (end := _http_end(self._in)) is not None:
            raw, self._in = self._in[:end], self._in[end:]
            yield Message(raw, b" ".join(raw.split(b"\r\n", 1)[0].split(b" ")[:2]).decode())

    def expects(self, message: Message) -> bool:
        """Every request has an answer."""
        return True

    def answers(self, data: bytes) -> int:
        """Return how many answers `data` completes."""
        self._out += data
        done = 0
        while (end := _http_end(self._out)) is not None:
            self._out = self._out[end:]
            done += 1
        return done


def _http_end(data: bytes) -> int | None:
    """Return the end of the first request or answer in `data`; None if it is not complete."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    found = re.search(rb"\r\ncontent-length: *(\d+)", data[:head], re.IGNORECASE)
    end = head + 4 + (int(found[1]) if found else 0)
    return end if end <= len(data) else None
