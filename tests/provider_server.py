"""A provider on loopback that speaks both protocols, misbehaves to order, and keeps the books of what it received.

    with ProviderServer() as server:
        server.add_rule(fault="status", status=429, retry_after=1, times=2, match={"model": "m1"})

The base_url of a provider is `server.url` with any path after it, such as `/US/v1`: a rule can match on it. The same
over HTTP, for a harness in another process (`python -m tests.provider_server --port 9000 --log calls.jsonl`):

    PUT  /_control/rules   [{"fault": ..., ...}, ...]     replaces the rules
    GET  /_control/calls                                  every call received
    POST /_control/release                                ends what hangs now

A rule: `fault` (see FAULTS), `match` (a part of `path`, `model`, `prompt` or `request_id`), `times` (then it is used
up; absent: for ever), `probability` (seeded), `delay` (seconds before anything else), and what the fault needs.
The first rule that matches counts. Every call is recorded, and its line flushed to the log, before it is answered.
Long, because each fault is spelled out here, where the table of faults at the end can be read beside it.
"""

import argparse
import hashlib
import json
import random
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Call:
    """One request as received. `time` is Unix time, `monotonic` time.monotonic(), both in seconds."""

    number: int
    time: float
    monotonic: float
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    fault: str | None


@dataclass
class Rule:
    fault: str = "none"
    match: dict[str, str] = field(default_factory=dict)
    times: int | None = None
    probability: float = 1.0
    delay: float = 0.0
    status: int = 503
    retry_after: str | float | None = None
    text: str | None = None
    location: str = "http://127.0.0.1:9/elsewhere"
    hops: int = 1
    region: str = "elsewhere"
    size: int = 10 * 1024 * 1024
    interval: float = 0.05
    seconds: float = 3600.0

    def matches(self, call: dict[str, str]) -> bool:
        return all(wanted in call.get(name, "") for name, wanted in self.match.items())


class ProviderServer:
    """Listens on 127.0.0.1 as soon as it is made; `close()` also ends what hangs. `certificate`: a PEM with its key."""

    def __init__(self, port: int = 0, log: str | None = None, seed: int = 0, certificate: str | None = None) -> None:
        self.rules: list[Rule] = []
        self.calls: list[Call] = []
        self.connections = 0
        self.released = threading.Event()
        self._changed = threading.Condition()
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._log = open(log, "a", encoding="utf-8") if log else None  # noqa: SIM115 - closed in close()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", port), handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.port}"
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            # The handshake is left to the first read, in the connection's own thread.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def add_rule(self, *, first: bool = False, **rule: Any) -> None:
        with self._changed:
            self.rules.insert(0 if first else len(self.rules), Rule(**rule))

    def set_rules(self, rules: list[dict[str, Any]]) -> None:
        with self._changed:
            self.rules = [Rule(**rule) for rule in rules]

    def release(self) -> None:
        """End what hangs now; what comes later may hang again."""
        with self._changed:
            self.released.set()
            self.released = threading.Event()

    def wait_for_calls(self, count: int, seconds: float = 20.0) -> list[Call]:
        """Wait until `count` calls have been received, and return them all."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.calls) >= count, seconds):
                raise AssertionError(f"{len(self.calls)} calls received, {count} expected")
            return list(self.calls)

    def record(
        self, connection: int, method: str, path: str, headers: dict[str, str], body: Any
    ) -> tuple[Call, Rule, threading.Event]:
        """Choose the rule and write the books; the event ends what this call makes hang."""
        known = {"path": path, "request_id": headers.get("x-request-id", "")}
        if isinstance(body, dict):
            known |= {"model": str(body.get("model", "")), "prompt": prompt_of(body)}
        with self._changed:
            rule = self._choose(known)
            call = Call(
                len(self.calls) + 1, time.time(), time.monotonic(), connection, method, path, headers, body, rule.fault
            )
            self.calls.append(call)
            if self._log:
                self._log.write(json.dumps(asdict(call)) + "\n")
                self._log.flush()
            self._changed.notify_all()
            return call, rule, self.released

    def _choose(self, known: dict[str, str]) -> Rule:
        for rule in self.rules:
            if not rule.matches(known) or self._random.random() >= rule.probability:
                continue
            if rule.times is not None:
                rule.times -= 1
                if rule.times <= 0:
                    self.rules.remove(rule)
            return rule
        return Rule()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        if self._log:
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024  # a burst of 400 connections is part of the tests
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    owner: ProviderServer
    released: threading.Event
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.owner.connections += 1
        self.connection_number = self.owner.connections

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        # Every client states the length of what it posts: without one the request was cut off within its head.
        length = int(self.headers.get("Content-Length", self.command == "POST"))
        raw = self.rfile.read(length)
        if len(raw) < length:  # the caller died, or was cut off, within its request: there was no call
            self.close_connection = True
            return
        body = json.loads(raw) if raw else None
        if self.path.startswith("/_control/"):
            self._control(body)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        call, rule, self.released = self.owner.record(self.connection_number, self.command, self.path, headers, body)
        if rule.delay:
            self.released.wait(rule.delay)
        FAULTS[rule.fault](self, call, rule)

    def _control(self, body: Any) -> None:
        match self.command, self.path:
            case "PUT", "/_control/rules":
                self.owner.set_rules(body)
                self.send_json({"rules": len(body)})
            case "GET", "/_control/calls":
                self.send_json([asdict(call) for call in list(self.owner.calls)])
            case "POST", "/_control/release":
                self.owner.release()
                self.send_json({})
            case _:
                self.send_json({}, 404)

    def send_json(self, document: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_bytes(json.dumps(document).encode(), status, headers)

    def send_bytes(
        self,
        body: bytes,
        status: int = 200,
        headers: dict[str, str] | None = None,
        *,
        length: int | None = None,
        kind: str = "application/json",
    ) -> None:
        """Head and body in one write; `length` lies about the body's."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self._headers_buffer.append(b"\r\n" + body)  # type: ignore[attr-defined] # not in the stubs
        self.flush_headers()

    def stay_silent(self, seconds: float) -> None:
        """Until the time is over, the server is released, or the client has gone."""
        until = time.monotonic() + seconds
        while not self.released.wait(0.02) and time.monotonic() < until:
            if select.select([self.connection], [], [], 0)[0]:
                break
        self.close_connection = True


def prompt_of(body: dict[str, Any]) -> str:
    messages = body.get("messages") or [{"content": body.get("prompt", "")}]
    return str(messages[-1].get("content", ""))


def answer_text(call: Call) -> str:
    """Follows from model, prompt and path alone, so that a test can tell which call an answer belongs to."""
    seed = f"{call.path}|{call.body.get('model')}|{prompt_of(call.body)}" if call.body else call.path
    return f"answer {hashlib.sha256(seed.encode()).hexdigest()[:12]}"


def document(call: Call, text: str | None = None, **more: Any) -> dict[str, Any]:
    """The well-formed answer to a call, in its protocol."""
    text = answer_text(call) if text is None else text
    if "/inference" in call.path:
        place = (call.body or {}).get("region_preference")
        return {
            "success": True,
            "response": text,
            "provider_used": "loopback",
            "inference_time": 0.01,
            "cost_estimate": 0.0001,
            "metadata": {"region": place, "model": (call.body or {}).get("model")},
        } | more
    return {
        "model": (call.body or {}).get("model"),
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text} | more}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }


def _answer(handler: _Handler, call: Call, rule: Rule) -> None:
    handler.send_json(document(call, rule.text))


def _status(handler: _Handler, call: Call, rule: Rule) -> None:
    headers = {} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)}
    handler.send_json({"error": {"message": rule.text or f"told to say {rule.status}"}}, rule.status, headers)


def _hang(handler: _Handler, call: Call, rule: Rule) -> None:
    handler.stay_silent(rule.seconds)


def _reset(handler: _Handler, call: Call, rule: Rule) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def _cut(handler: _Handler, call: Call, rule: Rule) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def _cut_after(handler: _Handler, call: Call, rule: Rule) -> None:
    """Promises to keep the connection and closes it after the answer."""
    handler.send_json(document(call, rule.text))
    _cut(handler, call, rule)


def _cut_body(handler: _Handler, call: Call, rule: Rule) -> None:
    body = json.dumps(document(call)).encode()
    handler.send_bytes(body[: len(body) // 2], length=len(body))
    _cut(handler, call, rule)


def _truncated_json(handler: _Handler, call: Call, rule: Rule) -> None:
    body = json.dumps(document(call)).encode()
    handler.send_bytes(body[: len(body) // 2])


def _redirect_same(handler: _Handler, call: Call, rule: Rule) -> None:
    _hop(handler, call, rule.hops)


def _hop(handler: _Handler, call: Call, hops: int) -> None:
    """A 303 to a result of this server, which redirects again until the hops are used up."""
    path = f"/result/{call.number}/" + ("inference" if "/inference" in call.path else "completions")
    text = answer_text(call)
    handler.owner.add_rule(first=True, fault="result", match={"path": path}, hops=hops - 1, times=1, text=text)
    handler.send_json({}, 303, {"Location": f"{path}?id=1"})


def _result(handler: _Handler, call: Call, rule: Rule) -> None:
    if rule.hops > 0:
        _hop(handler, call, rule.hops)
    else:
        handler.send_json(document(call, rule.text))


def _redirect_other(handler: _Handler, call: Call, rule: Rule) -> None:
    handler.send_json({}, 303 if rule.status == 503 else rule.status, {"Location": rule.location})


def _empty(handler: _Handler, call: Call, rule: Rule) -> None:
    handler.send_json(document(call, rule.text or " \n"))


def _wrong_region(handler: _Handler, call: Call, rule: Rule) -> None:
    handler.send_json(document(call, metadata={"region": rule.region}))


def _big(handler: _Handler, call: Call, rule: Rule) -> None:
    """Without a length: only counting finds out."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    chunk = b"x" * 65536
    for _ in range(rule.size // len(chunk)):
        handler.wfile.write(b"10000\r\n" + chunk + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def _drip(handler: _Handler, call: Call, rule: Rule) -> None:
    """One byte at a time, head and all."""
    body = json.dumps(document(call)).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for byte in head + body:
        handler.wfile.write(bytes([byte]))
        if handler.released.wait(rule.interval):
            break
    handler.close_connection = True


def _nul(handler: _Handler, call: Call, rule: Rule) -> None:
    """U+0000 and a lone surrogate, escaped as JSON allows."""
    handler.send_json(document(call, rule.text or "before\x00\ud800after"))


def _raw_nul(handler: _Handler, call: Call, rule: Rule) -> None:
    """Bytes that JSON does not allow, `text` in hexadecimal: NUL, and what is not UTF-8."""
    forbidden = bytes.fromhex(rule.text or "00ff")
    handler.send_bytes(json.dumps(document(call, "before MARK after")).encode().replace(b"MARK", forbidden))


def _html(handler: _Handler, call: Call, rule: Rule) -> None:
    handler.send_bytes(b"<html><body><h1>Sign in</h1></body></html>", kind="text/html")


def _refusal(handler: _Handler, call: Call, rule: Rule) -> None:
    text = rule.text or "I can't help with that."
    handler.send_json(document(call, None, content=None, refusal=text))


def _failure(handler: _Handler, call: Call, rule: Rule) -> None:
    """HTTP 200 that carries a failure: the hybrid router's, or OpenRouter's."""
    if "/inference" in call.path:
        handler.send_json({"success": False, "error": "no capacity", "error_code": rule.text or "ROUTER_ERROR"})
    else:
        handler.send_json({"error": {"code": rule.status, "message": "upstream failed"}})


def _raw(handler: _Handler, call: Call, rule: Rule) -> None:
    handler.send_bytes((rule.text or "").encode())


FAULTS: dict[str, Callable[[_Handler, Call, Rule], None]] = {
    "none": _answer,
    "status": _status,
    "hang": _hang,
    "reset": _reset,
    "cut": _cut,
    "cut_after": _cut_after,
    "cut_body": _cut_body,
    "truncated_json": _truncated_json,
    "redirect_same": _redirect_same,
    "result": _result,
    "redirect_other": _redirect_other,
    "empty": _empty,
    "wrong_region": _wrong_region,
    "big": _big,
    "drip": _drip,
    "nul": _nul,
    "raw_nul": _raw_nul,
    "html": _html,
    "refusal": _refusal,
    "failure": _failure,
    "raw": _raw,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="A provider that misbehaves to order.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", help="append one JSON line for each call received")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    server = ProviderServer(arguments.port, arguments.log, arguments.seed)
    print(server.url, flush=True)  # noqa: T201 - the harness reads it
    threading.Event().wait()


if __name__ == "__main__":
    main()
