"""One connection through the proxy. It forwards bytes in both directions, message by message, until the cut."""

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Protocol

from bench.crash.point import Way
from bench.wire.message import Message, Reader
from bench.wire.postgres import FLUSH, PostgresReader

CHUNK = 65536
NAMELESS = frozenset(f"{kind} BEGIN" for kind in ("Parse", "Bind", "Describe", "Execute"))
PATIENCE_SECONDS = 5.0  # for a missing answer of the server


class Counter(Protocol):
    """Counts the messages of every connection, and decides which one is cut."""

    late_seconds: float

    def begin_exchange(self) -> int:
        """Return the number of a new exchange."""

    def way_of(self, message: Message, exchange: int, place: int, client_port: int) -> Way | None:
        """Count a message. Return the way in which it must be cut; None if it passes."""


class Link:
    """One connection, with its own thread."""

    def __init__(self, tap: Counter, reader: Reader, client: socket.socket, server: socket.socket, port: int) -> None:
        self._tap, self._reader, self._client, self._server, self._client_port = tap, reader, client, server, port
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._owed = 0  # messages that the server has received and not answered
        self._cut = False
        self._exchange = self._place = 0
        self._is_open = False  # a transaction
        self._nameless: list[Message] = []

    def reset(self) -> None:
        """Shut down both sides at once."""
        self._cut = True
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Close both sides; a cut connection is reset."""
        close(self._client, reset=self._cut)
        close(self._server, reset=self._cut)

    def carry(self) -> None:
        """Forward bytes in both directions until one side ends or the point is cut."""
        ready = select.poll()
        ready.register(self._client, select.POLLIN)
        ready.register(self._server, select.POLLIN)
        while not self._cut:
            readable = {descriptor for descriptor, _ in ready.poll()}
            if self._server.fileno() in readable and not self._answer():
                return
            if self._client.fileno() in readable:
                data = self._client.recv(CHUNK)
                if not data:
                    return
                for message in self._named(data):
                    self._pass(message)
                    if self._cut:
                        return

    def _named(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that `data` completes. The BEGIN of a pipeline is held until the next statement, which
        gives the BEGIN its name. Nobody waits for the answer to a BEGIN before that."""
        for message in self._reader.sent(data):
            if message.label in NAMELESS:
                self._nameless.append(message)
                continue
            kept, self._nameless = self._nameless, []
            for begin in kept:
                begin.label += f", {message.label.split()[-1]}"
                yield begin
            yield message

    def _answer(self) -> bool:
        data = self._server.recv(CHUNK)
        if data:
            self._owed -= self._reader.answers(data)
            self._client.sendall(data)
        return bool(data)

    def _pass(self, message: Message) -> None:
        way = self._tap.way_of(message, *self._placed(message), self._client_port)
        if way in ("before", "middle"):
            self._cut = True
            self._server.sendall(message.data[: len(message.data) // 2 if way == "middle" else 0])
            return
        self._server.sendall(message.data)
        self._owed += self._reader.expects(message)
        if way == "late":
            time.sleep(self._tap.late_seconds)
        elif way is not None:
            self._cut = True
            self._await_answer(message)

    def _await_answer(self, message: Message) -> None:
        """Wait for the server's answer, and drop it. A Flush makes the server answer in the middle of a pipeline."""
        if isinstance(self._reader, PostgresReader) and message.kind in (b"P", b"B", b"D", b"E", b"C"):
            self._server.sendall(FLUSH)
        deadline = time.monotonic() + PATIENCE_SECONDS
        self._server.settimeout(PATIENCE_SECONDS)
        while self._owed > 0 and time.monotonic() < deadline and (data := self._server.recv(CHUNK)):
            self._owed -= self._reader.answers(data)

    def _placed(self, message: Message) -> tuple[int, int]:
        """Return the exchange of a message and its place there. A Flush has no own place, because its time varies."""
        if message.label.startswith("Flush"):
            return self._exchange, self._place
        self._place += 1
        if not self._exchange or not isinstance(self._reader, PostgresReader):
            self._exchange, self._place = self._tap.begin_exchange(), 0
        words = message.label.split(" ", 1)
        found = self._exchange, self._place
        if isinstance(self._reader, PostgresReader):
            statement = words[1].split(",")[0] if len(words) > 1 else ""
            if statement == "BEGIN":
                self._is_open = True
            elif statement in ("COMMIT", "ROLLBACK") and b"ROLLBACK TO " not in message.data:
                self._is_open = False
            if not self._is_open and words[0] in ("Sync", "Query", "Password"):
                self._exchange = 0  # the next message begins another one
        return found


def close(end: socket.socket, *, reset: bool) -> None:
    """Close one side; with `reset`, send a TCP reset."""
    with contextlib.suppress(OSError):
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        end.close()
