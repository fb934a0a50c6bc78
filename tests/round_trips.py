"""Proxies that count the round trips of a client: how often the client waits for an answer of its server."""

import struct
from collections.abc import Callable, Generator

from tests.proxy import Link, Proxy

UNTYPED = (80877103, 80877104, 196608)  # SSLRequest, GSSENCRequest, the startup message of protocol 3.0
ENDS = frozenset(b"SHQ")  # Sync, Flush and Query: after each of these the client waits (protocol, "Message Formats")


class PostgresTrips(Proxy):
    """Counts the messages after which a client of PostgreSQL waits: each Sync, Flush and simple query.

    A Flush directly behind a Sync asks for nothing more, and nobody waits for its answer.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.trips = 0
        self._readers: dict[Link, Callable[[bytes], int]] = {}

    def carried(self, link: Link, data: bytes, *, answers: bool) -> None:
        """Count what a client has sent."""
        if not answers:
            reader = self._readers.setdefault(link, counter())
            self.trips += reader(data)


class RedisTrips(Proxy):
    """Counts how often a client of Redis sends something after it has received something: one trip a burst."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.trips = 0
        self._waits: set[Link] = set()

    def carried(self, link: Link, data: bytes, *, answers: bool) -> None:
        """Count the first piece of each burst of commands."""
        if answers:
            self._waits.discard(link)
        elif link not in self._waits:
            self._waits.add(link)
            self.trips += 1


def counter() -> Callable[[bytes], int]:
    """Return a function that takes a client's next bytes and returns how many messages among them end a burst."""
    parser = _ends()
    next(parser)
    return parser.send


def _ends() -> Generator[int, bytes, None]:
    """Parse a client's messages. Receives bytes, yields numbers."""
    rest, found, asked = b"", 0, False  # asked: a message since the last one that ended a burst
    while True:
        rest += yield found
        found = 0
        while len(rest) >= 8 and struct.unpack("!I", rest[4:8])[0] in UNTYPED:
            size = struct.unpack("!I", rest[:4])[0]
            if len(rest) < size:
                break
            rest = rest[size:]
        while len(rest) >= 5 and len(rest) >= (size := 1 + struct.unpack("!I", rest[1:5])[0]):
            if rest[0] not in ENDS:
                asked = True
            elif asked or rest[:1] == b"Q":
                asked = False
                found += 1
            rest = rest[size:]
