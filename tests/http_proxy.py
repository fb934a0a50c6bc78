"""An HTTP proxy on loopback: plain requests in absolute form, tunnels by CONNECT, and refusals to order.

    with HttpProxy({"127.0.0.1:9": server.port}) as proxy:

It reaches only what its routes name: a place as requests write it, and the port on loopback behind it.
"""

import http.client
import select
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit


class HttpProxy:
    """`requests` has each request's method and target. `refuse`: the status of every answer. `credentials`: the value
    of Proxy-Authorization that it asks for. `garbage`: sent instead of any answer."""

    def __init__(
        self, routes: Mapping[str, int], *, refuse: int = 0, credentials: str = "", garbage: bytes | None = None
    ) -> None:
        self.routes = routes
        self.refuse = refuse
        self.credentials = credentials
        self.garbage = garbage
        self.requests: list[str] = []
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    owner: HttpProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_CONNECT(self) -> None:
        if not self._admitted():
            return
        with socket.create_connection(("127.0.0.1", self.owner.routes[self.path])) as behind:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            both = {self.connection: behind, behind: self.connection}
            while True:
                for ready in select.select(list(both), [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        self.close_connection = True
                        return
                    both[ready].sendall(data)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._admitted():
            return
        to = urlsplit(self.path)
        behind = http.client.HTTPConnection("127.0.0.1", self.owner.routes[to.netloc])
        path = f"{to.path}?{to.query}" if to.query else to.path
        headers = {name: value for name, value in self.headers.items() if name != "Proxy-Authorization"}
        behind.request(self.command, path, body, headers)
        answer = behind.getresponse()
        text = answer.read()
        behind.close()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(text)))
        if location := answer.headers.get("Location"):
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST

    def _admitted(self) -> bool:
        self.owner.requests.append(f"{self.command} {self.path}")
        if self.owner.garbage is not None:
            self.wfile.write(self.owner.garbage)
            self.close_connection = True
            return False
        wrong = bool(self.owner.credentials) and self.headers.get("Proxy-Authorization") != self.owner.credentials
        status = self.owner.refuse or (407 if wrong else 0)
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        return not status
