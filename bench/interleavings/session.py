"""One session: a thread that calls a verb, and the gate before its connection."""

import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bench.interleavings.gate import Gate, Relay, Wire

Call = Callable[[], Any]


class Session:
    """Calls one verb at a time in a thread of its own. Its connections go through its gate."""

    def __init__(self, wire: Wire, database_url: str, name: str) -> None:
        where = urlsplit(database_url)
        self.name = name
        self.gate = Gate(wire, (where.hostname or "127.0.0.1", where.port or 5432))
        user = where.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{self.gate.port}"
        # Without encryption, because the gate reads the messages.
        query = "&".join(filter(None, (where.query, "sslmode=disable&gssencmode=disable")))
        self.url = urlunsplit((where.scheme, netloc, where.path, query, ""))
        self.ended = True
        self.result: Any = None  # what the verb returned, or the exception that it raised
        self._wire = wire
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._end_sender, self._end_receiver = socket.socketpair()
        wire.watch(self._end_receiver, self._on_end)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def begin(self, call: Call) -> None:
        """Let the thread call the verb. `ended` becomes True at its end."""
        self.ended, self.result = False, None
        self._calls.put(call)

    def close(self) -> None:
        """End the thread and every connection, after the verb has ended."""
        self._calls.put(None)
        self._thread.join(10)
        self._wire.forget(self._end_receiver)
        self._end_sender.close()
        self.gate.close()

    @property
    def pids(self) -> list[int]:
        """Return the pids of the server processes of its connections."""
        return [relay.pid for relay in self.gate.relays]

    @property
    def parked(self) -> Relay | None:
        """Return the connection whose next statement is held."""
        return next((relay for relay in self.gate.relays if relay.parked), None)

    @property
    def busy(self) -> Relay | None:
        """Return the connection whose statement has no answer yet."""
        return next((relay for relay in self.gate.relays if relay.sent), None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self.result = call()
            except Exception as error:  # noqa: BLE001  it is the verb's result
                self.result = error
            self._end_sender.sendall(b"!")

    def _on_end(self) -> None:
        self._end_receiver.recv(1)
        self.ended = True
