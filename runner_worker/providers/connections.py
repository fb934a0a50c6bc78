"""Kept-alive connections to a provider. Each request gets an answer of limited size by its deadline, or TryFailed.

Own code, because of its CPU time: measured with 64 concurrent calls of 50 ms on one event loop, a call takes about
200 us here, 1,000 us with httpcore2 and h11, 500 us with aiohttp. The gate in breaker.py limits the connections.
"""

import asyncio
import asyncio.sslproto
import ipaddress
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from runner_core.origins import Origin
from runner_core.proxies import Proxy
from runner_worker.providers.connection import Connection
from runner_worker.providers.failures import TryFailed
from runner_worker.providers.response import Response
from runner_worker.providers.tunnel import Tunnel, authorization, refused
from runner_worker.threads import DaemonThreads

CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 30.0  # below the idle limits of the usual proxies
# The buffer of a TLS connection. With asyncio's 256 KiB a connection takes 299 KiB, and 400 concurrent calls have 400
# connections. With one TLS record (16 KiB) it takes 62 KiB. `max_size` is a private name of asyncio;
# tests/integration/test_tls_memory.py measures the memory.
asyncio.sslproto.SSLProtocol.max_size = 16 * 1024
_resolver = DaemonThreads("dns", 8)  # own threads, so that a slow resolver delays new connections only

Headers = list[tuple[bytes, bytes]]
P = TypeVar("P", bound=asyncio.Protocol)


class Connections:
    """The kept-alive connections to one origin, directly or through one proxy; the last used one is used first.

    Owned by the calls' event loop. `tls` is the context for an https origin.
    """

    def __init__(self, to: Origin, proxy: Proxy | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._to = to
        self._proxy = proxy
        self._tls = tls
        # A proxy is sent a plain request in absolute form (RFC 9112, 3.2.2), and its own credentials with each.
        by_proxy = proxy is not None and tls is None
        self._before_target = str(to).encode("ascii") if by_proxy else b""
        self._proxy_header = authorization(proxy) if proxy and by_proxy else b""
        self._idle: deque[Connection] = deque()

    async def exchange(
        self, method: bytes, target: bytes, headers: Headers, content: bytes | None, until: float
    ) -> Response:
        """Send one request and return its response of at most LARGEST_ANSWER bytes.

        `until` is the limit in time.monotonic() seconds. Raises TryFailed; `cancelled` if the task is cancelled.
        """
        head = self._proxy_header + b"".join([b"%b: %b\r\n" % header for header in headers])
        request = b"%b %b%b HTTP/1.1\r\n%b\r\n%b" % (method, self._before_target, target, head, content or b"")
        connection = self._kept() or await self._connect(until)
        try:
            response = await connection.exchange(request, until)
            if self._before_target and (response.status == 407 or "x-squid-error" in response.headers):
                raise refused(response.status)
            return response
        finally:
            if connection.usable:
                self._idle.append(connection)
                self._drop_expired(connection.used_at)

    def idle(self) -> int:
        """Return how many connections are idle and usable."""
        return sum(not connection.is_stale() for connection in self._idle)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - KEEPALIVE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.used_at > oldest and not connection.is_stale():
                return connection
            connection.close()
        return None

    def _drop_expired(self, now: float) -> None:
        """Close the connection that was unused longest if it has expired. After a burst they are closed one by one."""
        if now - self._idle[0].used_at > KEEPALIVE_SECONDS or not self._idle[0].usable:
            self._idle.popleft().close()

    async def _connect(self, until: float) -> Connection:
        by_proxy = " through the proxy" if self._proxy else ""
        try:
            async with asyncio.timeout_at(min(until, asyncio.get_running_loop().time() + CONNECT_SECONDS)):
                if self._proxy and self._tls:
                    return await self._tunnelled(self._proxy, self._tls)
                peer = self._proxy or self._to
                _, connection = await _opened(Connection, peer.host, peer.port, self._tls)
                return connection
        except TimeoutError:
            raise TryFailed("connect_timeout", note=by_proxy) from None
        except ssl.SSLCertVerificationError as error:
            raise TryFailed(
                "connect_failed", note=f": the certificate is not trusted ({error.verify_message})"
            ) from None
        except ssl.SSLError as error:
            raise TryFailed("connect_failed", note=f": the TLS handshake failed ({_reason(error)})") from None
        except (OSError, UnicodeError):  # unknown host, connection refused
            raise TryFailed("connect_failed", note=by_proxy) from None
        except asyncio.CancelledError:
            raise TryFailed("cancelled", stage="connect") from None

    async def _tunnelled(self, proxy: Proxy, tls: ssl.SSLContext) -> Connection:
        """Return a connection whose TLS ends at the provider; the proxy passes its bytes on."""
        _, tunnel = await _opened(lambda: Tunnel(self._to, proxy), proxy.host, proxy.port)
        plain = await tunnel.open()
        connection = Connection()
        connection.connection_made(plain)  # until TLS is set up; then it has the encrypted transport
        encrypted = await asyncio.get_running_loop().start_tls(plain, connection, tls, server_hostname=self._to.host)
        if encrypted is None:
            raise OSError("the connection ended within the handshake")
        connection.connection_made(encrypted)
        return connection


async def _opened(
    protocol: Callable[[], P], host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.Transport, P]:
    """Connect to the first address of the host that takes the connection. Raises OSError."""
    addresses = await _addresses(host, port)
    for address in addresses:
        try:
            return await asyncio.get_running_loop().create_connection(
                protocol, address, port, ssl=tls, server_hostname=host if tls else None
            )
        except OSError:
            if address is addresses[-1]:
                raise
    raise OSError("the name has no address")


async def _addresses(host: str, port: int) -> list[str]:
    """Return the addresses of the host. Each new connection resolves the name again: its addresses may change."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    found = await asyncio.get_running_loop().run_in_executor(
        _resolver, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _reason(error: ssl.SSLError) -> str:
    """Return OpenSSL's name of the failure in words, such as "wrong version number"."""
    return (error.reason or "no reason is given").replace("_", " ").lower()
