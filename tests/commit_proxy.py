"""Faults at one exact moment of a PostgreSQL connection, its commit. The others are in proxy.py.

with CommitProxy(host, port) as proxy:
    proxy.lose_reply()           # the next COMMIT is done, and nobody will ever know
    proxy.lose_reply(at="job-1") # the next message that names job-1 is: a statement that is a transaction of its own
"""

import asyncio
from collections.abc import Callable

from tests.proxy import CHUNK, Link, Proxy

COMMIT = b"COMMIT"
# ReadyForQuery with the state "idle": the server has done everything it was sent (protocol-message-formats).
DONE = b"Z\x00\x00\x00\x05I"


class CommitProxy(Proxy):
    """A proxy that acts when a client sends COMMIT, or what `at` says, `times` times."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self._act = ""
        self._at = COMMIT
        self._times = 0
        self._first: Callable[[], object] = lambda: None
        self.acted = 0

    def lose_reply(self, times: int = 1, at: str = "COMMIT", first: Callable[[], object] = lambda: None) -> None:
        """Let the server commit, call `first`, then reset the connection instead of carrying its answer."""
        self._act, self._times, self._at, self._first = "lose", times, at.encode(), first

    def lose_request(self, times: int = 1, at: str = "COMMIT") -> None:
        """Reset the connection instead of carrying the COMMIT."""
        self._act, self._times, self._at = "drop", times, at.encode()

    async def _carry(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        tail = b""
        while data := await reader.read(CHUNK):
            await self._flowing.wait()
            if not answers and self._at in data and self._times > 0:
                self._times -= 1
                self.acted += 1
                if self._act == "drop":
                    link.abort()
                    return
                link.lost = True
            if answers and (link.lost or self._swallowing):
                tail = (tail + data)[-len(DONE) :]
                if tail == DONE and link.lost:
                    self._first()
                    link.abort()
                    return
                continue
            if link.bytes_left is not None and len(data) >= link.bytes_left:
                link.abort()
                return
            writer.write(data)
            await writer.drain()
        if not link.lost and writer.can_write_eof():
            writer.write_eof()
