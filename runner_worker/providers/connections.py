"""Connections to a provider: a bounded answer within a deadline, or a reason.

This is httpx2's own engine, httpcore2, without httpx2's front and pool: measured with 400 calls in flight, Client costs
880 us of CPU and 49 KiB a call, since its pool looks at every connection twice a request; the stack of connections
below costs 280 us and 25 KiB at any width (the gate in breaker.py already bounds their number). It also lets every
read see the deadline of the whole call, so that an answer dripping in byte by byte ends in time.
"""

import email.utils
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpcore2

from runner_worker.providers.ask import TryFailed

LARGEST_ANSWER = 2 * 1024 * 1024  # bytes
CONNECT_SECONDS = 10.0
WRITE_SECONDS = 30.0
KEEPALIVE_SECONDS = 30.0  # below the idle limits of the usual proxies
LOOK_SECONDS = 1.0  # how often a call in flight looks at its cancellation

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes
    location: str
    retry_after: float | None  # seconds


class Connections:
    """Kept-alive connections to one origin, the last used first. Thread-safe."""

    def __init__(self, scheme: str, host: str, port: int) -> None:
        self._scheme, self._host, self._port = scheme.encode("ascii"), host.encode("ascii"), port
        self._origin = httpcore2.Origin(self._scheme, self._host, port)
        self._tls = httpcore2.default_ssl_context() if scheme == "https" else None
        self._network = _Network()
        self._idle: deque[httpcore2.HTTPConnection] = deque()  # its appends and pops are atomic

    def exchange(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        content: bytes | None,
        until: float,
        cancelled: threading.Event | None,
    ) -> Response:
        """Send one request and read its answer, at most LARGEST_ANSWER bytes, until time.monotonic() is `until`."""
        url = httpcore2.URL(scheme=self._scheme, host=self._host, port=self._port, target=target)
        connection = self._connection()
        self._network.call.until, self._network.call.cancelled = until, cancelled
        try:
            with connection.stream(method, url, headers=headers, content=content) as answer:
                found = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
                body = _bounded(answer.iter_stream(), found.get(b"content-length", ""))
        except httpcore2.ConnectTimeout:
            raise TryFailed("connect_timeout") from None
        except httpcore2.WriteTimeout:
            raise TryFailed("write_timeout") from None
        except httpcore2.TimeoutException:
            raise TryFailed("read_timeout") from None
        except httpcore2.ConnectError:
            raise TryFailed("connect_failed") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError):
            raise TryFailed("connection_lost") from None
        finally:
            if connection.is_available():
                self._idle.append(connection)
                self._drop_expired()
            else:
                connection.close()
        return Response(answer.status, body, found.get(b"location", ""), _seconds(found.get(b"retry-after", "")))

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _connection(self) -> httpcore2.HTTPConnection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return httpcore2.HTTPConnection(
                    self._origin,
                    ssl_context=self._tls,
                    keepalive_expiry=KEEPALIVE_SECONDS,
                    network_backend=self._network,
                )
            if not connection.has_expired():  # or closed by the provider meanwhile
                return connection
            connection.close()

    def _drop_expired(self) -> None:
        """Close the longest unused one if its time is over: after a burst the connections go one by one."""
        try:
            oldest = self._idle.popleft()
        except IndexError:
            return
        if oldest.has_expired():
            oldest.close()
        else:
            self._idle.appendleft(oldest)


class _Call(threading.local):
    """The limits of the call that this thread makes: httpcore2 hands its streams no more than a timeout per read."""

    until: float = 0.0
    cancelled: threading.Event | None = None

    def left(self, stage: str) -> float:
        if self.cancelled is not None and self.cancelled.is_set():
            raise TryFailed("cancelled", stage=stage)
        return self.until - time.monotonic()


class _Network(httpcore2.NetworkBackend):
    """Opens streams that keep the limits of the call."""

    def __init__(self) -> None:
        self.call = _Call()
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        left = self.call.left("connect")
        if left <= 0:
            raise httpcore2.ConnectTimeout
        seconds = min(CONNECT_SECONDS, left)
        return _Stream(self._sockets.connect_tcp(host, port, seconds, local_address, socket_options), self.call)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, call: _Call) -> None:
        self._stream = stream
        self._call = call

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while (left := self._call.left("response")) > 0:
            try:
                return self._stream.read(max_bytes, min(left, LOOK_SECONDS))
            except httpcore2.ReadTimeout:
                continue
        raise httpcore2.ReadTimeout

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = self._call.left("request")
        if left <= 0:
            raise httpcore2.WriteTimeout
        self._stream.write(buffer, min(left, WRITE_SECONDS))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = self._call.left("connect")
        if left <= 0:
            raise httpcore2.ConnectTimeout
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, min(left, CONNECT_SECONDS)), self._call)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _bounded(chunks: Iterable[bytes], content_length: str) -> bytes:
    if content_length.isdecimal() and (len(content_length) > 12 or int(content_length) > LARGEST_ANSWER):
        raise TryFailed("answer_too_large")
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise TryFailed("answer_too_large")
    return bytes(body)


def _seconds(retry_after: str) -> float | None:
    """Retry-After (RFC 9110, 10.2.3) in seconds from now: a number or a date."""
    if retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
