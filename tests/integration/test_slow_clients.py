"""Clients that send or take slowly, or not at all: no thread waits for them, so that everybody else is served."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2
import pytest

from tests.integration.api_client import Api
from tests.integration.server import Server

MANY = 200
THREADS = "8"
HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SLOW = {
    "nothing": b"",
    "half a head": HEAD,
    "half a body": POST + b"Content-Length: 1000\r\n\r\n{",
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n{",
    "half of the chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
}


@pytest.fixture
def server(api: Api, start: Callable[..., Server]) -> Iterator[Server]:
    """One process with few threads; at the end it has written no line above INFO."""
    running = start(api.env | {"WEB_CONCURRENCY": "1", "WEB_THREADS": THREADS, "LOG_JSON": "1"}).wait()
    yield running
    running.stop()
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    assert {line["level"] for line in lines} == {"INFO"}, [line for line in lines if line["level"] != "INFO"]


def connect(server: Server, sent: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    sock.sendall(sent)
    return sock


def is_served(server: Server, api: Api) -> None:
    """New connections, each with a request that reads the database and one that does not."""
    assert httpx2.get(f"{server.url}/health/live", timeout=5).status_code == 200
    assert httpx2.post(f"{server.url}/api/v1/jobs", json=api.job(), timeout=5).status_code == 202


def test_who_sends_slowly_holds_nobody_up_and_is_given_up(server: Server, api: Api) -> None:
    first = connect(server, HEAD)
    with ExitStack() as held:
        for sent in SLOW.values():
            clients = [held.enter_context(connect(server, sent)) for _ in range(MANY // len(SLOW) + int(THREADS))]
            is_served(server, api)
            # Another byte now and then is no progress: the time is for the whole request.
            for client in clients:
                client.sendall(b" " if sent else b"")
            is_served(server, api)
        answer = first.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"error_code":"request_timeout"' in answer
        assert b"\r\nConnection: close\r\n" in answer
        assert first.recv(1) == b""
        for client in clients:
            assert b" 408 " in client.recv(1 << 16)
    is_served(server, api)


def test_half_heads_and_then_half_bodies(server: Server, api: Api) -> None:
    with ExitStack() as held:
        for sent in (SLOW["half a head"], SLOW["half a body"]):
            for _ in range(MANY):
                held.enter_context(connect(server, sent))
            is_served(server, api)


def test_who_takes_no_answer_holds_nobody_up(server: Server, api: Api) -> None:
    """Their answers, larger than what fits on the way to them, wait without a thread."""
    job_id = api.submit(metadata={**api.job()["metadata"], "text": "x" * 900_000})
    asked = f"GET /api/v1/jobs/{job_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with ExitStack() as held:
        clients = []
        for _ in range(40):
            clients.append(held.enter_context(socket.socket()))
            clients[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            clients[-1].settimeout(60)
            clients[-1].connect(("127.0.0.1", server.port))
            clients[-1].sendall(asked * 6)
        is_served(server, api)
        # Whoever takes it after all gets all of it, and what was asked behind it.
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 6 or not received.endswith(b"}"):
            received += clients[0].recv(1 << 20)
        bodies = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200 OK")[1:]]
        assert [len(body) for body in bodies] == [len(bodies[0])] * 6
        assert json.loads(bodies[0])["id"] == job_id
        clients[1].close()
        is_served(server, api)


def test_a_client_that_stays_after_its_answer_does_not_hold_up_the_next(server: Server, api: Api) -> None:
    """Closing a connection takes until its client has read the answer, and nobody waits for that."""
    began = time.monotonic()
    with ExitStack() as held:
        for _ in range(20):
            client = held.enter_context(connect(server, HEAD + b"Connection: close\r\n\r\n"))
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        is_served(server, api)
    assert time.monotonic() - began < 20, "2 s for each"
