"""A small HTTP client that keeps N connections busy: `python -m bench.http_load HOST PORT CONNECTIONS SECONDS [FILE]`.

It is a separate process and its requests are prepared as bytes, so that it takes little CPU time from the measured
server. FILE has one JSON body per line; without FILE it sends GET /health/live. Prints one line of JSON.
"""

import json
import selectors
import socket
import sys
import time
from collections import Counter
from pathlib import Path

from bench.measure import percentile

NOOP = b"GET /health/live HTTP/1.1\r\nHost: bench\r\n\r\n"


def post(body: bytes) -> bytes:
    """Return the bytes of one submission's HTTP request."""
    head = f"POST /api/v1/jobs HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Connection:
    """One keep-alive connection with at most one request in progress."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0.0
        self.received = b""

    def send(self, request: bytes) -> None:
        self.received, self.sent = b"", time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int:
        """Read received bytes. Return the status of a complete answer, else 0. Raises ConnectionError if it is cut."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("the server closed a connection")
        self.received += part
        head, gap, body = self.received.partition(b"\r\n\r\n")
        if not gap:
            return 0
        length = next(int(h[15:]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:"))
        return int(head[9:12]) if len(body) >= length else 0


def load(address: tuple[str, int], connections: int, seconds: float, bodies: list[bytes]) -> dict[str, object]:
    """Keep every connection busy for `seconds`, or until all bodies are sent."""
    requests = iter([post(body) for body in bodies]) if bodies else None
    selector = selectors.DefaultSelector()
    statuses: Counter[int] = Counter()
    took: list[float] = []
    began = time.perf_counter()
    for _ in range(connections):
        connection = Connection(address)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(next(requests) if requests else NOOP)
    busy = connections
    while busy:
        for key, _ in selector.select():
            connection = key.data
            status = connection.receive()
            if not status:
                continue
            now = time.perf_counter()
            statuses[status] += 1
            took.append((now - connection.sent) * 1000)
            following = (next(requests, None) if requests else NOOP) if now - began < seconds else None
            if following is None:
                busy -= 1
                selector.unregister(connection.socket)
                connection.socket.close()
            else:
                connection.send(following)
    elapsed = time.perf_counter() - began
    return {
        "per_second": sum(statuses.values()) / elapsed,
        "statuses": {str(status): count for status, count in statuses.items()},
        "p50_ms": percentile(took, 0.5),
        "p99_ms": percentile(took, 0.99),
    }


if __name__ == "__main__":
    host, port, width, duration, *files = sys.argv[1:]
    lines = Path(files[0]).read_bytes().splitlines() if files else []
    print(json.dumps(load((host, int(port)), int(width), float(duration), lines)))
