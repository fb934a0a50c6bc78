"""A proxy that counts the messages of a verb, and cuts its connection at one of them in one way.

    with Tap(PostgresReader, "127.0.0.1", 5432) as tap:
        tap.learn()                      # every message passes; tap.exchange has them
        tap.arm(Point("Sync", 2), "answer lost", on_hit)

A point is a message's label and the number of earlier messages with this label in the run. So messages of other
threads, which come at varying moments, do not shift it.
"""

import contextlib
import itertools
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Self

from bench.crash.link import PATIENCE_SECONDS, Link, close
from bench.crash.point import Passed, Point, Way
from bench.wire.message import Message, Reader


class Tap:
    """A proxy on a free port for `host`:`port`, with one thread per connection.

    `late_seconds` is the delay of a late answer; it is longer than the client waits.
    """

    def __init__(self, reader: Callable[[], Reader], host: str, port: int, *, late_seconds: float = 2.0) -> None:
        self._reader, self._upstream, self.late_seconds = reader, (host, port), late_seconds
        self._lock = threading.Lock()
        self._links: set[Link] = set()
        self._armed: tuple[Point, Way, Callable[[int], object]] | None = None
        self._seen: Counter[str] = Counter()
        self._exchanges = itertools.count(1)
        self.exchange: list[Passed] = []
        self.ports: list[int] = []  # from which this proxy has reached the server
        self.hit = threading.Event()
        self.hit_at: Passed | None = None
        self.port, self.is_listening = 0, False
        self._listen_on(0)

    def learn(self) -> None:
        """Forget the messages so far, and let every message pass from now on."""
        with self._lock:
            self._forget()

    def arm(self, point: Point, way: Way, on_hit: Callable[[int], object]) -> None:
        """Restart the count, and cut the connection in this way once, when `point` comes.

        `on_hit` is called with the client's port before the message is sent on.
        """
        with self._lock:
            self._forget()
            self._armed = (point, way, on_hit)

    def _forget(self) -> None:
        self._armed, self.hit_at = None, None
        self._seen.clear()
        self.exchange = []
        self.hit.clear()

    def refuse(self) -> None:
        """Refuse new connections until `accept`, and reset those that are open."""
        self.is_listening = False
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def accept(self) -> None:
        """Listen again on the same port."""
        self._listen_on(self.port)

    def reset(self) -> None:
        """Reset every open connection."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.reset()

    def connections(self) -> int:
        """Return the number of open connections."""
        with self._lock:
            return len(self._links)

    def close(self) -> None:
        """Stop listening and reset every connection."""
        with contextlib.suppress(OSError):
            self.refuse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_exchange(self) -> int:
        """Return the number of a new exchange."""
        return next(self._exchanges)

    def way_of(self, message: Message, exchange: int, place: int, client_port: int) -> Way | None:
        """Count a message. Return the way in which it must be cut; None if it passes."""
        with self._lock:
            self._seen[message.label] += 1
            passed = Passed(Point(message.label, self._seen[message.label]), exchange, place)
            self.exchange.append(passed)
            if self._armed is None or self._armed[0] != passed.point:
                return None
            _, way, on_hit = self._armed
            self._armed, self.hit_at = None, passed
        on_hit(client_port)
        self.hit.set()
        return way

    def _listen_on(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port, self.is_listening = self._listener.getsockname()[1], True
        threading.Thread(target=self._listen, args=(self._listener,), name="tap", daemon=True).start()

    def _listen(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, (_, port) = listener.accept()
                threading.Thread(target=self._carry, args=(client, port), name="tapped", daemon=True).start()

    def _carry(self, client: socket.socket, client_port: int) -> None:
        try:
            server = socket.create_connection(self._upstream, PATIENCE_SECONDS)
        except OSError:
            close(client, reset=True)
            return
        server.settimeout(None)
        self.ports.append(server.getsockname()[1])
        link = Link(self, self._reader(), client, server, client_port)
        with self._lock:
            self._links.add(link)
        try:
            link.carry()
        except (OSError, ValueError):
            pass
        finally:
            link.end()
            with self._lock:
                self._links.discard(link)
