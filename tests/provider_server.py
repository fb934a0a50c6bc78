"""A provider on loopback that speaks every protocol, misbehaves to order, and logs what it received.

    with ProviderServer() as server:
        server.add_rule(fault="status", status=429, retry_after=1, times=2, match={"model": "m1"})

The base_url of a provider is `server.url` with any path after it, such as `/US/v1`: a rule can match on it. The same
over HTTP, for a harness in another process (`python -m tests.provider_server --port 9000 --log calls.jsonl`):

    PUT  /_control/rules   [{"fault": ..., ...}, ...]     replaces the rules
    GET  /_control/calls                                  every call received
    POST /_control/release                                ends what hangs now

A rule: `fault` (a name of FAULTS in tests/provider_faults.py), `match` (a part of `path`, `model`, `prompt` or
`request_id`), `times` (then it is used up; absent: for ever), `probability` (seeded), `delay` (seconds before anything
else), and what the fault needs. The first rule that matches counts. Every call is recorded, and its line flushed to the
log, before it is answered.
"""

import argparse
import json
import random
import select
import ssl
import threading
import time
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.provider_calls import Call, Rule, prompt_of
from tests.provider_faults import FAULTS


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
        handler = type("Handler", (Handler,), {"owner": self})
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
        """Choose the rule and log the call; the event ends what this call makes hang."""
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


class Handler(BaseHTTPRequestHandler):
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
