"""A gate: a proxy before PostgreSQL that holds each statement of a session until the scheduler lets it pass.

A statement begins with its Bind, because its snapshot is taken there, and ends with its Execute. Then the gate sends a
Flush, so that a statement inside a pipeline is answered before the next one is sent. BEGIN passes together with the
next statement. A COMMIT is a step of its own; if a statement is a transaction by itself, the Sync that commits it is
that step.
"""

import re
import selectors
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.wire.message import Message
from bench.wire.postgres import FLUSH, PostgresReader
from runner_core.queries import statements

ENDS = frozenset({"COMMIT", "ROLLBACK"})
# Statements of a new connection, of the driver and of notifications. They belong to no verb.
ASIDE = frozenset({"db.settings", "identity.timeline", "bell.ring", "DEALLOCATE"})
LOCKS = re.compile(r"\bFOR (?:NO KEY |KEY )?(?:UPDATE|SHARE)\b")
ANSWERS = {b"E": b"CIs", b"Q": b"Z", b"S": b"Z"}  # the end of the answer to an Execute, a Query, a Sync
RECEIVED_BYTES = 65536


def sees_locks(name: str) -> bool:
    """Return whether a statement may wait for row locks and may lock rows. An unknown statement may."""
    if name in ENDS:
        return False
    statement = statements().get(name)
    return statement is None or statement.writes or bool(LOCKS.search(statement.sql.decode()))


def is_advisory(name: str) -> bool:
    """Return whether a statement takes an advisory lock."""
    statement = statements().get(name)
    return statement is not None and b"advisory" in statement.sql


@dataclass
class Wire:
    """The sockets of every gate, served by the thread that calls `pump`."""

    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def watch(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        """Call `ready` from `pump` when the socket can be read."""
        self.selector.register(sock, selectors.EVENT_READ, ready)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching the socket, and close it."""
        self.selector.unregister(sock)
        sock.close()

    def pump(self, seconds: float) -> bool:
        """Handle the sockets that are ready within `seconds`. Return False if none was."""
        ready = self.selector.select(seconds)
        for key, _ in ready:
            if not isinstance(key.fileobj, int) and key.fileobj.fileno() >= 0:  # an earlier handler may have closed it
                key.data()
        return bool(ready)


class Replies:
    """The server's messages, as (type, body)."""

    def __init__(self) -> None:
        self._data = b""

    def read(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the messages that `data` completes."""
        self._data += data
        while len(self._data) >= 5:
            end = 1 + struct.unpack_from("!i", self._data, 1)[0]
            if len(self._data) < end:
                return
            kind, body = self._data[:1], self._data[5:end]
            self._data = self._data[end:]
            yield kind, body


class Relay:
    """One connection of a session: the messages that are held, and the statement without an answer."""

    def __init__(self, gate: "Gate", client: socket.socket) -> None:
        self.gate = gate
        self.client = client
        self.server = socket.create_connection(gate.address)
        for sock in (self.client, self.server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pid = 0
        self.held: deque[Message] = deque()
        self.passing = False  # the next statement may pass
        self.sent = ""  # the statement without an answer
        self.latest = ""  # the statement that was sent last, or is being answered
        self.sent_kind = b""
        self.has_failed = False  # the server skips everything until the next Sync
        self.in_block = self.is_implicit = False  # a transaction by BEGIN; one that its Sync will commit
        self.reader, self.replies = PostgresReader(), Replies()
        gate.wire.watch(self.client, self._from_client)
        gate.wire.watch(self.server, self._from_server)

    @property
    def parked(self) -> str:
        """Return the name of the statement that is held; empty if none is."""
        if not self.held or self.sent or self.passing:
            return ""
        return _name(self.held[0])

    def let(self) -> None:
        """Let the held statement pass."""
        self.passing = True
        self._advance()

    def close(self) -> None:
        """Close both ends."""
        self.gate.wire.forget(self.client)
        self.gate.wire.forget(self.server)
        self.gate.relays.remove(self)

    def _from_client(self) -> None:
        if not (data := _received(self.client)):
            self.close()
            return
        self.held.extend(self.reader.sent(data))
        self._advance()

    def _advance(self) -> None:
        """Send the held messages, up to the next statement that must wait."""
        out = b""
        while self.held:
            message = self.held[0]
            if self._is_a_step(message):
                if self.sent or not self.passing:
                    break
                if message.kind != b"B":
                    self._sends(message)
            elif message.kind == b"E" and self.gate.armed and _name(message) not in ASIDE:
                self._sends(message)
            out += self.held.popleft().data + (FLUSH if message.kind == b"E" else b"")
        if out:
            self.server.sendall(out)

    def _is_a_step(self, message: Message) -> bool:
        if not self.gate.armed or self.has_failed or _name(message) in ASIDE:
            return False
        return message.kind in (b"B", b"Q") or (message.kind == b"S" and self.is_implicit)

    def _sends(self, message: Message) -> None:
        self.passing = False
        self.sent = self.latest = _name(message)
        self.sent_kind = message.kind
        if message.kind == b"S":
            self.is_implicit = False
        elif message.kind == b"E" and not self.in_block and self.sent != "BEGIN":
            self.is_implicit = True

    def _from_server(self) -> None:
        if not (data := _received(self.server)):
            self.close()
            return
        self.client.sendall(data)
        self.reader.answers(data)  # so that the reader forgets the answered messages
        for kind, body in self.replies.read(data):
            if kind == b"K":
                (self.pid,) = struct.unpack_from("!i", body)
            elif kind == b"E":
                self.gate.failures.append(_sqlstate(body))
                self.has_failed = self.sent_kind != b"Q"
                self.is_implicit = False
                if self.sent_kind == b"E":
                    self._answered(failed=True)
            elif kind == b"Z":
                self.has_failed = False
            if self.sent and kind in ANSWERS[self.sent_kind]:
                self._answered(failed=False)
        self._advance()

    def _answered(self, *, failed: bool) -> None:
        name, self.sent = self.sent, ""
        if name == "BEGIN" and not failed:
            self.in_block = self.passing = True
        elif name in ENDS:
            self.in_block = self.is_implicit = False


class Gate:
    """The address that one session connects to. Everything passes while the gate is not armed."""

    def __init__(self, wire: Wire, address: tuple[str, int]) -> None:
        self.wire = wire
        self.address = address
        self.relays: list[Relay] = []
        self.armed = False
        self.failures: list[str] = []  # SQLSTATEs of the errors that passed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        wire.watch(self._listener, self._connected)

    def arm(self) -> None:
        """Hold every statement from now on. No transaction may be open."""
        self.armed = True
        self.failures.clear()
        for relay in self.relays:
            relay.passing = relay.in_block = relay.is_implicit = False

    def open(self) -> None:
        """Let everything pass from now on."""
        self.armed = False
        for relay in list(self.relays):
            relay.let()

    def close(self) -> None:
        """Close every connection."""
        self.wire.forget(self._listener)
        for relay in list(self.relays):
            relay.close()

    def _connected(self) -> None:
        client, _ = self._listener.accept()
        self.relays.append(Relay(self, client))


def _name(message: Message) -> str:
    """Return the statement's name, without the transaction's last statement, which a COMMIT's label has too."""
    if message.kind == b"S":
        return "COMMIT"
    return message.label.partition(" ")[2].partition(",")[0]


def _sqlstate(body: bytes) -> str:
    """Return the SQLSTATE of an ErrorResponse."""
    return next((field[1:].decode() for field in body.split(b"\x00") if field[:1] == b"C"), "XX000")


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(RECEIVED_BYTES)
    except OSError:
        return b""
