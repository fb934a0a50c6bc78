"""PostgreSQL's messages. Source: its documentation, "Frontend/Backend Protocol", chapter "Message Formats"."""

import re
import struct
from collections.abc import Iterator

from bench.wire.message import Message

NAMED = re.compile(rb"-- name: ([a-z_]+\.[a-z_0-9]+)")
SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
# The last message of the server's answer, by the type of the client's message.
ANSWERED = {
    b"P": b"1",  # Parse: ParseComplete
    b"B": b"2",  # Bind: BindComplete
    b"D": b"Tn",  # Describe: RowDescription (after a ParameterDescription, for a statement) or NoData
    b"E": b"CIs",  # Execute: CommandComplete, EmptyQueryResponse or PortalSuspended
    b"C": b"3",  # Close: CloseComplete
    b"S": b"Z",  # Sync: ReadyForQuery
    b"Q": b"Z",  # Query: ReadyForQuery
}
TYPES = {
    b"P": "Parse",
    b"B": "Bind",
    b"D": "Describe",
    b"E": "Execute",
    b"C": "Close",
    b"S": "Sync",
    b"Q": "Query",
    b"H": "Flush",
    b"X": "Terminate",
    b"p": "Password",
}
FLUSH = b"H\x00\x00\x00\x04"


class PostgresReader:
    """A connection to PostgreSQL. A statement's name is read from its text and stored for its prepared name."""

    def __init__(self) -> None:
        self._in, self._out = b"", b""
        self._started = self._asked = False
        self._prepared: dict[bytes, str] = {}
        self._statement = self._last = ""
        self._awaited: list[bytes] = []  # types of messages without a complete answer
        self._failed = False

    def sent(self, data: bytes) -> Iterator[Message]:
        """Yield the client's messages that `data` completes. A BEGIN is named after the statement that follows it."""
        self._in += data
        found = list(self._messages())
        following = ""
        for message in reversed(found):
            if message.label.endswith(" BEGIN"):
                message.label += f", {following}" if following else ""
            elif "." in message.label:
                following = message.label.split()[-1]
        return iter(found)

    def _messages(self) -> Iterator[Message]:
        while True:
            head = 0 if not self._started else 1
            if len(self._in) < head + 4:
                return
            (length,) = struct.unpack_from("!i", self._in, head)
            if len(self._in) < head + length:
                return
            raw, self._in = self._in[: head + length], self._in[head + length :]
            yield self._message(raw)

    def _message(self, raw: bytes) -> Message:
        if not self._started:
            (code,) = struct.unpack_from("!i", raw, 4)
            if code in (SSL_REQUEST, GSS_REQUEST):
                self._asked = True
                return Message(raw, "SSLRequest", b"ssl")
            self._started = True
            return Message(raw, "CancelRequest" if code == CANCEL_REQUEST else "Startup", b"startup")
        kind, body = raw[:1], raw[5:]
        name = TYPES.get(kind, kind.decode(errors="replace"))
        if kind == b"P":
            prepared, _, text = body.partition(b"\x00")
            self._statement = _name_of(text)
            self._prepared[prepared] = self._statement
        elif kind == b"B":
            self._statement = self._prepared.get(body.split(b"\x00", 2)[1], "")
        elif kind == b"Q":
            self._statement = _name_of(body)
        elif (kind == b"D" and body[:1] == b"S") or kind == b"C":
            self._statement = self._prepared.get(body[1:-1], "")
        if kind in ANSWERED:
            self._awaited.append(kind)
        if "." in self._statement:
            self._last = self._statement
        words = [name, self._statement]
        if self._statement in ("COMMIT", "ROLLBACK") and self._last:
            words[1] += f", {self._last}"  # the transaction's last statement
        return Message(raw, " ".join(words).rstrip(), kind)

    def expects(self, message: Message) -> bool:
        """Return whether the server answers this message separately."""
        return message.kind in ANSWERED or message.kind in (b"startup", b"p", b"ssl")

    def answers(self, data: bytes) -> int:
        """Return how many of the client's messages `data` completes the answers to. An error ends at Sync."""
        self._out += data
        done = 0
        while self._out:
            if self._asked:  # the answer to SSLRequest is one byte
                self._out, self._asked, done = self._out[1:], False, done + 1
                continue
            if len(self._out) < 5:
                return done
            (length,) = struct.unpack_from("!i", self._out, 1)
            if len(self._out) < 1 + length:
                return done
            kind, body = self._out[:1], self._out[5 : 1 + length]
            self._out = self._out[1 + length :]
            if not self._awaited:
                # A step of the authentication, or ReadyForQuery, which ends it.
                done += (kind == b"R" and struct.unpack_from("!i", body)[0] not in (0, 12)) or kind in b"ZE"
            elif kind == b"E":
                self._failed = True
            elif kind == b"Z":
                done += self._awaited_until_ready()
            elif not self._failed and kind in ANSWERED[self._awaited[0]] and self._awaited[0] not in b"SQ":
                self._awaited.pop(0)
                done += 1
        return done

    def _awaited_until_ready(self) -> int:
        """Remove and count what a ReadyForQuery answers: the first Sync or Query, and everything skipped before it."""
        self._failed = False
        for number, kind in enumerate(self._awaited, 1):
            if kind in b"SQ":
                del self._awaited[:number]
                return number
        return 0


def _name_of(text: bytes) -> str:
    """Return a statement's name, or its first word if it has none, such as BEGIN or COMMIT."""
    if found := NAMED.search(text):
        return found[1].decode()
    return text.split(b"\x00")[0].strip().split(b" ")[0].decode(errors="replace")
