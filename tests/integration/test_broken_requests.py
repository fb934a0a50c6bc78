"""Requests that no client should send, over real sockets to the server as it is started: each is refused as a problem,
none is a failure of ours, and the answer says so when the connection ends with it.
"""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.integration.api_client import ADMIN, Api
from tests.integration.server import Server

POSTS = (
    "/api/v1/jobs",
    "/api/v1/jobs/cross-region",
    "/api/v1/jobs/x/cancel",
    "/api/v1/jobs/x/retry",
    "/admin/jobs/x/republish",
    "/submit",
    "/nowhere",
)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
# The head's line and what follows the head -> the code.
BODIES: dict[str, tuple[bytes, bytes, str]] = {
    "size is no number": (CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n", "malformed_body"),
    "size is negative": (CHUNKED, b"-5\r\n{}\r\n0\r\n\r\n", "malformed_body"),
    "size is empty": (CHUNKED, b"\r\n{}\r\n0\r\n\r\n", "malformed_body"),
    "size has a prefix": (CHUNKED, b"0x2\r\n{}\r\n0\r\n\r\n", "malformed_body"),
    "size is huge": (CHUNKED, b"FFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n", "body_too_large"),
    "size is longer than 64 bits": (CHUNKED, b"F" * 40 + b"\r\n{}\r\n0\r\n\r\n", "body_too_large"),
    "size's line never ends": (CHUNKED, b"1" + b" " * 20_000, "malformed_body"),
    "chunk has another end": (CHUNKED, b"2\r\n{}XX0\r\n\r\n", "malformed_body"),
    "chunk is longer than its size": (CHUNKED, b"1\r\n{}\r\n0\r\n\r\n", "malformed_body"),
    "extension is not valid": (CHUNKED, b"2;=\r\n{}\r\n0\r\n\r\n", "malformed_body"),
    "trailer is not valid": (CHUNKED, b"2\r\n{}\r\n0\r\nno colon\r\n\r\n", "malformed_request"),
    "trailer is forbidden": (CHUNKED, b"2\r\n{}\r\n0\r\nHost: x\r\n\r\n", "malformed_request"),
    "chunks break off": (CHUNKED, b"5\r\n{", "malformed_request"),
    "chunks break off in a size": (CHUNKED, b"5", "malformed_request"),
    "chunks break off before the last": (CHUNKED, b"2\r\n{}\r\n", "malformed_request"),
    "trailers break off": (CHUNKED, b"2\r\n{}\r\n0\r\nX: y\r\n", "malformed_request"),
    "body is shorter than its length": (b"Content-Length: 50\r\n", b"{}", "malformed_request"),
    "body is absent": (b"Content-Length: 50\r\n", b"", "malformed_request"),
    "length is huge": (b"Content-Length: 99999999999999999999\r\n", b"{}", "body_too_large"),
    "length is 5 MB": (b"Content-Length: 5000000\r\n", b"{}", "body_too_large"),
    "length is negative": (b"Content-Length: -1\r\n", b"{}", "malformed_request"),
    "length is no number": (b"Content-Length: two\r\n", b"{}", "malformed_request"),
    "two lengths": (b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{}", "malformed_request"),
    "a length and chunks": (b"Content-Length: 2\r\n" + CHUNKED, b"2\r\n{}\r\n0\r\n\r\n", "malformed_request"),
    "chunked twice": (CHUNKED + CHUNKED, b"2\r\n{}\r\n0\r\n\r\n", "malformed_request"),
    "a coding that is unknown": (b"Transfer-Encoding: br, chunked\r\n", b"0\r\n\r\n", "not_implemented"),
    "a coding that is not chunked": (b"Transfer-Encoding: gzip\r\n", b"xx", "malformed_request"),
    "an expectation": (b"Content-Length: 2\r\nExpect: a miracle\r\n", b"{}", "expectation_failed"),
}
# Whole requests -> status, code.
HEADS: dict[str, tuple[bytes, int, str]] = {
    "the query is too long": (b"GET /api/v1/jobs?x=" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
    "the line never ends": (b"GET /" + b"a" * 20_000, 414, "uri_too_long"),
    "a header is too long": (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
    "too many headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431, "headers_too_large"),
    "the head never ends": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, 431, "headers_too_large"),
    "a header has no colon": (b"GET / HTTP/1.1\r\nHost\r\n\r\n", 400, "malformed_request"),
    "a header's name has a space": (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", 400, "malformed_request"),
    "a header has a NUL": (b"GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n", 400, "malformed_request"),
    "a header is folded": (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400, "malformed_request"),
    "a header is not ASCII": ("GET / HTTP/1.1\r\né: b\r\n\r\n".encode(), 400, "malformed_request"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "malformed_request"),
    "lines end with LF": (b"GET / HTTP/1.1\nHost: x\n\n", 400, "malformed_request"),
    "no version": (b"GET /\r\n\r\n", 400, "malformed_request"),
    "another version": (b"GET / HTTP/3.0\r\n\r\n", 400, "malformed_request"),
    "no target": (b"GET  HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "a target that is not ASCII": (b"GET /\xff HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "a method in lower case": (b"get / HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "TLS": (bytes.fromhex("16030100a5010000a10303") + b"\x00\r\n\r\n" * 9, 400, "malformed_request"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed_request"),
    "nothing but lines": (b"\r\n\r\n\r\n\r\n", 400, "malformed_request"),
}


@dataclass(frozen=True)
class Answer:
    """`closed` is whether the server hung up after it."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    closed: bool

    def check(self) -> dict[str, object]:
        """A problem like every other, whose Connection header tells what the server then did."""
        assert 400 <= self.status < 500 or self.status in (501, 503), (self.status, self.body)
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        problem: dict[str, object] = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["error_code"] not in ("", "internal_error")
        assert problem["error"] == problem["detail"]
        assert self.headers["X-Request-ID"]
        assert self.closed == (self.headers["Connection"] == "close"), self.headers.items()
        return problem


@pytest.fixture
def server(api: Api, start: Callable[..., Server]) -> Iterator[Server]:
    """One process; when the test is over it has written no line at ERROR and stored no job."""
    running = start(api.env | {"WEB_CONCURRENCY": "1", "WEB_THREADS": "4", "LOG_JSON": "1"}).wait()
    yield running
    assert running.stop() == 0
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    assert {line["level"] for line in lines} == {"INFO"}, [line for line in lines if line["level"] != "INFO"]
    assert api.counts()["jobs"] == 0


def send(server: Server, *parts: bytes, hang_up: bool = False) -> Answer:
    """What comes back for these bytes. A server that does not hang up is asked once more on the same connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        for part in parts:
            sock.sendall(part)
        if hang_up:
            sock.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        body = answer.read()
        closed = True
        if answer.headers["Connection"] != "close":
            sock.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            closed = not sock.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        else:
            assert sock.recv(1) == b"", "nothing follows"
        return Answer(answer.status, answer.headers, body, closed)


def head(path: str, *lines: bytes) -> bytes:
    kind = b"application/x-www-form-urlencoded" if path == "/submit" else b"application/json"
    token = f"Authorization: Bearer {ADMIN}\r\n".encode()
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\n%b%b\r\n" % (
        path.encode(),
        kind,
        token,
        b"".join(lines),
    )


def test_bodies(server: Server) -> None:
    for path in POSTS:
        for name, (line, body, code) in BODIES.items():
            told = send(server, head(path, line), body, hang_up="off" in name or "body is" in name).check()
            assert told["error_code"] == code, (path, name, told)


def test_heads(server: Server) -> None:
    for name, (sent, status, code) in HEADS.items():
        answer = send(server, sent)
        assert (answer.status, answer.check()["error_code"]) == (status, code), name
        assert answer.closed


def test_what_follows_a_broken_request_is_never_taken_for_one(server: Server) -> None:
    smuggled = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    for line, body, _ in BODIES.values():
        if body.endswith(b"\r\n\r\n"):
            answer = send(server, head("/api/v1/jobs", line) + body + smuggled)
            assert answer.status != 200
            assert answer.closed


def test_what_is_refused_by_the_application_leaves_the_connection_usable(server: Server) -> None:
    """Also where the application has not read the body."""
    large = b"x" * 1_500_000
    for path, kind, body, status in (
        ("/api/v1/jobs", b"text/plain", b"x" * 200_000, 415),
        ("/api/v1/jobs", b"application/json", b"{", 400),
        ("/api/v1/jobs", b"application/json", large, 413),
        ("/api/v1/nowhere", b"application/json", large, 404),
    ):
        line = b"Content-Type: %b\r\nContent-Length: %d\r\n" % (kind, len(body))
        answer = send(server, b"POST %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path.encode(), line), body)
        answer.check()
        assert (answer.status, answer.closed) == (status, False)


def test_a_client_that_waits_to_be_asked_for_its_body(server: Server) -> None:
    """RFC 9110, 10.1.1: one 100, and none for what is refused by its head."""
    body = b"{}"
    line = b"Expect: 100-continue\r\nContent-Length: "
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(head("/api/v1/jobs", line + b"%d\r\n" % len(body)))
        assert sock.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 400 ")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(head("/api/v1/jobs", line + b"5000000\r\n"))
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


def test_requests_one_behind_the_other(server: Server) -> None:
    """A client need not wait for an answer before its next request, and the bytes may be cut anywhere."""
    one = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    chunked = head("/api/v1/jobs", CHUNKED) + b"1\r\n{\r\n3;a=b\r\n\r\n}\r\n0\r\nX: y\r\n\r\n"
    whole = one + chunked + b"\r\n" + one
    for cut in range(0, len(whole), 7):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
            sock.sendall(whole[:cut])
            sock.sendall(whole[cut:])
            received = b""
            while received.count(b"HTTP/1.1 ") < 3 or not received.endswith(b"}"):
                received += sock.recv(1 << 16)
            assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400", b"200"]
