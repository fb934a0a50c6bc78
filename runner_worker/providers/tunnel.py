"""A tunnel through an HTTP proxy, opened by CONNECT (RFC 9110, 9.3.6), as an asyncio protocol."""

import asyncio
import re
from http import HTTPStatus
from typing import cast

from runner_core.origins import Origin
from runner_core.proxies import Proxy
from runner_worker.providers.failures import TryFailed

LARGEST_HEAD = 16 * 1024  # bytes
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a connection to an origin. `open` returns the transport, which then belongs to the caller."""

    def __init__(self, to: Origin, proxy: Proxy) -> None:
        place = to.place.encode("ascii")
        self._request = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (place, place, authorization(proxy))
        self._transport: asyncio.Transport
        self._head = bytearray()
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def open(self) -> asyncio.Transport:
        """Ask for the tunnel. Raises TryFailed if the proxy refuses it. The transport is closed on every failure."""
        self._transport.write(self._request)
        try:
            status = await self._status
            if not 200 <= status < 300:
                raise refused(status)
        except BaseException:
            self._transport.abort()
            raise
        return self._transport

    # The methods that asyncio's transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._status.done():
            return
        self._head += data
        begun = _STATUS.match(self._head)
        if len(self._head) > LARGEST_HEAD or (len(self._head) > len("HTTP/1.1 200 ") and not begun):
            self._fail(": the proxy's answer is not HTTP/1.1")
        elif begun and b"\r\n\r\n" in self._head:
            self._status.set_result(int(begun[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(": the proxy ended the connection")

    def _fail(self, note: str) -> None:
        if not self._status.done():
            self._status.set_exception(TryFailed("connect_failed", note=note))


def authorization(proxy: Proxy) -> bytes:
    """Return the header line with the proxy's user and password; empty without them."""
    return b"Proxy-Authorization: %b\r\n" % proxy.authorization.encode("ascii") if proxy.authorization else b""


def refused(status: int) -> TryFailed:
    """Return the failure of a proxy's refusal. The sentence has no text of the proxy."""
    try:
        named = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        named = str(status)
    return TryFailed("connect_failed", note=f": the proxy refuses it ({named})")
