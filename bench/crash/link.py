"""One connection through the proxy: it carries bytes both ways, message by message, until its point is cut."""

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
PATIENCE_SECONDS = 5.0  # for an answer that the server owes


class Counter(Protocol):
    """Counts the messages of every connection, and says which one is cut."""

    late_seconds: float

    def begin_exchange(self) -> int:
        """Return the number of a new exchange."""

    def way_of(self, message: Message, exchange: int, place: int, client_port: int) -> Way | None:
        """Count a message; what has to be done with it, None when it just passes."""


class Link:
    """One connection, carried by its own thread."""

    def __init__(self, tap: Counter, reader: Reader, client: socket.socket, server: socket.socket, port: int) -> None:
        self._tap, self._reader, self._client, self._server, self._client_port = tap, reader, client, server, port
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._owed = 0  # messages that the server has and has not answered
        self._cut = False
        self._exchange = self._place = 0
        self._is_open = False  # a transaction
        self._nameless: list[Message] = []

    def reset(self) -> None:
        """End both sides, without a goodbye."""
        self._cut = True
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Close both sides; a cut connection is reset."""
        close(self._client, reset=self._cut)
        close(self._server, reset=self._cut)

    def carry(self) -> None:
        """Carry bytes both ways until either side ends or the point is cut."""
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
        """The messages that `data` completes. The BEGIN of a pipeline is kept back until the statement that follows it
        gives it its name, however the bytes were divided; nobody waits for its answer before."""
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
        """Wait until the server has acted, and drop its answer. A Flush makes it answer in the middle of a pipeline."""
        if isinstance(self._reader, PostgresReader) and message.kind in (b"P", b"B", b"D", b"E", b"C"):
            self._server.sendall(FLUSH)
        deadline = time.monotonic() + PATIENCE_SECONDS
        self._server.settimeout(PATIENCE_SECONDS)
        while self._owed > 0 and time.monotonic() < deadline and (data := self._server.recv(CHUNK)):
            self._owed -= self._reader.answers(data)

    def _placed(self, message: Message) -> tuple[int, int]:
        """The exchange of a message and its place there. A Flush has none of its own: it comes when somebody reads."""
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
    """Close one side; with `reset` the other end is told that it was no ordinary end."""
    with contextlib.suppress(OSError):
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        end.close()
