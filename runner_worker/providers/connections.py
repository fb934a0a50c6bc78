"""Kept-alive connections to a provider. Each request gets an answer of limited size by its deadline, or TryFailed.

Own code, because of its CPU time: measured with 64 concurrent calls of 50 ms on one event loop, a call takes about
200 us here, 1,000 us with httpcore2 and h11, 500 us with aiohttp. The gate in breaker.py limits the connections.
"""

import asyncio
import asyncio.sslproto
import ipaddress
import os
import platform
import socket
import ssl
from collections import deque
from pathlib import Path

from runner_worker.providers.ask import TryFailed
from runner_worker.providers.connection import Connection
from runner_worker.providers.response import Response
from runner_worker.threads import DaemonThreads

CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 30.0  # below the idle limits of the usual proxies
# The usual paths of trusted certificates, for an OpenSSL that was built without a default path.
TRUSTED = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
# The buffer of a TLS connection. With asyncio's 256 KiB a connection takes 299 KiB, and 400 concurrent calls have 400
# connections. With one TLS record (16 KiB) it takes 62 KiB. `max_size` is a private name of asyncio;
# tests/integration/test_tls_memory.py measures the memory.
asyncio.sslproto.SSLProtocol.max_size = 16 * 1024
_resolver = DaemonThreads("dns", 8)  # own threads, so that a slow resolver delays new connections only

Headers = list[tuple[bytes, bytes]]


class Connections:
    """The kept-alive connections to one origin; the last used one is used first. Owned by the calls' event loop."""

    def __init__(self, scheme: str, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._tls = trusting_context() if scheme == "https" else None
        self._idle: deque[Connection] = deque()

    async def exchange(
        self, method: bytes, target: bytes, headers: Headers, content: bytes | None, until: float
    ) -> Response:
        """Send one request and return its response of at most LARGEST_ANSWER bytes.

        `until` is the limit in time.monotonic() seconds. Raises TryFailed; `cancelled` if the task is cancelled.
        """
        head = b"".join([b"%b: %b\r\n" % header for header in headers])
        request = b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, target, head, content or b"")
        connection = self._kept() or await self._connect(until)
        try:
            return await connection.exchange(request, until)
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
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(until, loop.time() + CONNECT_SECONDS)):
                addresses = await self._addresses()
                for address in addresses:
                    try:
                        _, connection = await loop.create_connection(
                            Connection,
                            address,
                            self._port,
                            ssl=self._tls,
                            server_hostname=self._host if self._tls else None,
                        )
                    except OSError:
                        if address is addresses[-1]:
                            raise
                    else:
                        return connection
                raise OSError("the name has no address")
        except TimeoutError:
            raise TryFailed("connect_timeout") from None
        except (OSError, UnicodeError):  # unknown host, connection refused, untrusted certificate
            raise TryFailed("connect_failed") from None
        except asyncio.CancelledError:
            raise TryFailed("cancelled", stage="connect") from None

    async def _addresses(self) -> list[str]:
        """Return the addresses of the host. Each new connection resolves the name again: its addresses may change."""
        try:
            return [str(ipaddress.ip_address(self._host))]
        except ValueError:
            pass
        found = await asyncio.get_running_loop().run_in_executor(
            _resolver, lambda: socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


def trusting_context() -> ssl.SSLContext:
    """Return a TLS context that trusts SSL_CERT_FILE or SSL_CERT_DIR, else the system's certificates."""
    if platform.system() == "Darwin" and not os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}:
        import truststore  # macOS keeps its certificates where OpenSSL does not look

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath and (found := next(filter(os.path.isfile, TRUSTED), None)):
        context.load_verify_locations(Path(found))
    return context
