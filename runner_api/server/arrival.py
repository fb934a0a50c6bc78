"""Collect the bytes of one HTTP/1.1 request: when the request is complete, and how large it may become.

This module finds the end of a request (RFC 9112, 6.3 and 7.1) and checks nothing else: gunicorn's parser does, on the
same bytes. When the parser will refuse the bytes whatever follows, the request counts as complete: it is refused now.
"""

import re
import time

HEAD_LIMIT = 64 << 10  # bytes
BODY_LIMIT = 4 << 20  # a form that writes a job of 1 MiB: most of JSON's punctuation as three characters
CHUNKED_LIMIT = 2 * BODY_LIMIT  # a body with the lines between its chunks
LINE_LIMIT = 8190  # gunicorn's limit for the first line of a chunk

_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]+)(?:[ \t]*;[^\r]*)?")


class TooLarge(Exception):
    """The request is too large to be kept: its `status` is 413 for the body, 431 for the head."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class Arrival:
    """The bytes of one request received so far. `began` is a time.monotonic(); `asks`: the client waits for a 100."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.began = time.monotonic()
        self.asks = False
        self._head = 0  # where the body begins, 0 while unknown
        self._end: int | None = None  # where the body ends; None for a chunked body
        self._at = 0  # where the incomplete chunk begins

    def add(self, data: bytes, line_limit: int) -> bool:
        """Add received bytes; return whether the request is complete now. Raises TooLarge.

        `line_limit` is the longest request line that the parser takes.
        """
        searched = max(0, len(self.data) - 3)
        self.data += data
        if len(self.data) > HEAD_LIMIT + CHUNKED_LIMIT:
            raise TooLarge(413)
        if not self._head:
            end = self.data.find(b"\r\n\r\n", searched)
            if end < 0:
                return self._is_refused(line_limit)
            if end > HEAD_LIMIT:
                raise TooLarge(431)
            self._head = self._at = self._end = end + 4
            if self._read_framing():
                return True
        complete = self._last_chunk() if self._end is None else len(self.data) >= self._end
        self.asks = self.asks and not complete
        return complete

    def _is_refused(self, line_limit: int) -> bool:
        """Return whether the parser will refuse this incomplete head."""
        if len(self.data) > HEAD_LIMIT:
            raise TooLarge(431)
        line = self.data.find(b"\r\n", 2)
        return (line < 0 and len(self.data) > line_limit + 4) or self.data.count(b"\n") != self.data.count(b"\r\n")

    def _read_framing(self) -> bool:
        """Find where the body ends. Return True when the parser will refuse the head."""
        found = _FRAMING.findall(self.data, 0, self._head - 2)
        lengths = [value for name, value in found if name.lower() == b"content-length"]
        codings = [value.lower() for name, value in found if name.lower() == b"transfer-encoding"]
        expected = [value.lower() for name, value in found if name.lower() == b"expect"]
        if any(value != b"100-continue" for value in expected):
            return True
        self.asks = bool(expected) and self.data.find(b" HTTP/1.1\r\n", 0, self._head) > 0
        if codings:
            self._end = None
            return bool(lengths) or not any(b"chunked" in coding for coding in codings)
        if not lengths:
            return False
        if len(lengths) > 1 or not lengths[0].isdigit():
            return True
        if len(lengths[0]) > 18 or int(lengths[0]) > BODY_LIMIT:
            raise TooLarge(413)
        self._end = self._head + int(lengths[0])
        return False

    def _last_chunk(self) -> bool:
        """Return whether the last chunk and the trailers have arrived."""
        while (end := self.data.find(b"\r\n", self._at)) >= 0:
            size = _CHUNK_SIZE.fullmatch(self.data, self._at, end)
            if size is None:
                return True  # the parser refuses it with the reason
            if not int(size[1], 16):
                return self.data.startswith(b"\r\n", end + 2) or self.data.find(b"\r\n\r\n", end + 2) >= 0
            after = end + 2 + int(size[1], 16)
            if after - self._head > CHUNKED_LIMIT:
                raise TooLarge(413)
            if len(self.data) < after + 2:
                return False
            if not self.data.startswith(b"\r\n", after):
                return True
            self._at = after + 2
        return len(self.data) - self._at > LINE_LIMIT
