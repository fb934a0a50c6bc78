"""gunicorn's gthread worker, changed so that no thread waits for a slow client.

gthread gives a connection a thread before its request has arrived, and its main loop closes connections, up to 2 s
each. Seen: 200 clients that sent half a head, or half a body, held all 128 threads, and /health/live did not answer.
Here the main loop collects the bytes of all requests (arrival.py), a thread gets a complete request, and the main loop
sends the part of an answer that a client does not take at once (client_socket.py).
"""

import io
import logging
import selectors
import socket
import time
import traceback
from concurrent.futures import Future
from functools import partial
from types import FrameType
from typing import Any

from gunicorn import util  # type: ignore[import-untyped]  # it ships no types
from gunicorn.http import RequestParser  # type: ignore[import-untyped]
from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from runner_api.server import refusals
from runner_api.server.arrival import Arrival, TooLarge
from runner_api.server.client_socket import TAKE_SECONDS, Client, Unsent

log = logging.getLogger("api")
ARRIVAL_SECONDS = 20.0  # for a complete request, from its first byte or from the connection's beginning
LEAVE_SECONDS = 2.0  # for a client to read its last answer, before the rest of what it sends resets the connection
PIECE = 64 << 10  # bytes
MAX_ARRIVING = 500  # of a process; beyond it the oldest is given up. gunicorn accepts 1,000 connections
MAX_ARRIVING_BYTES = 64 << 20  # of all requests that are arriving in a process


class Worker(ThreadWorker):  # type: ignore[misc]  # it ships no types
    """The main loop owns a connection while it receives, sends a rest or closes; a thread owns it while it answers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arriving: dict[Any, Arrival] = {}  # requests by connection, the oldest first
        self.arriving_bytes = 0
        self.sending: dict[Any, tuple[float, Future[Any]]] = {}  # a rest: until when, and the request's result
        self.leaving: dict[Any, float] = {}  # connections that are being closed: until when
        self.unsent = Unsent()

    def enqueue_req(self, conn: Any) -> None:
        """Begin to receive a request. The main loop calls this for each connection on which a request is expected."""
        if conn.parser is None:
            sock = conn.sock
            conn.sock = Client(sock.family, sock.type, sock.proto, fileno=sock.detach())
            conn.sock.unsent = self.unsent
            conn.parser = RequestParser(self.cfg, conn.sock, conn.client)
            conn.initialized = True
        conn.sock.setblocking(False)
        self.arriving[conn] = Arrival()
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._receive, conn))
        # A client may send its next request before it has the answer to the first.
        sent = conn.parser.unreader.take_buffered()
        if sent:
            self._take(conn, sent)
        else:
            self._receive(conn, conn.sock)

    def _receive(self, conn: Any, sock: socket.socket) -> None:
        if conn not in self.arriving:  # it was given up after the poller reported it
            return
        try:
            data = sock.recv(PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._forget(conn)
            self._close(conn)
            return
        if data:
            self._take(conn, data)
        elif self.arriving[conn].data.strip():
            self._refuse(conn, *refusals.BROKEN_OFF)
        else:
            self._forget(conn)
            self._close(conn)

    def _take(self, conn: Any, data: bytes) -> None:
        arrival = self.arriving[conn]
        self.arriving_bytes += len(data)
        try:
            complete = arrival.add(data, self.cfg.limit_request_line)
        except TooLarge as error:
            self._refuse(conn, *refusals.TOO_LARGE[error.status])
            return
        if complete:
            self._forget(conn)
            conn.parser.unreader.unread(bytes(arrival.data))
            super().enqueue_req(conn)
        elif arrival.asks:
            arrival.asks = False
            self._send(conn, b"HTTP/1.1 100 Continue\r\n\r\n")
        elif self.arriving_bytes > MAX_ARRIVING_BYTES and len(arrival.data) > PIECE:
            self._refuse(conn, *refusals.BUSY)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Decode the body, then run the application, which thus never meets a broken body. Called in a thread."""
        try:
            body = req.body.read()
        except TimeoutError:  # arrival.py found the request complete, gunicorn's parser did not
            raise NoMoreData() from None
        req.body = io.BytesIO(body)
        req._expected_100_continue = False  # the 100 was sent while the body arrived
        try:
            return super().handle_request(req, conn)
        finally:
            req.body = io.BytesIO()  # gunicorn reads the rest of a body from the connection, where nothing is left

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer what the parser refuses, and what fails outside of the application. Called in a thread."""
        refusal = refusals.of_parser(exc)
        if refusal is None:
            frames = "".join(traceback.format_tb(exc.__traceback__))  # without the message, which may quote a request
            log.error("unexpected %s\n%s", type(exc).__name__, frames)
            refusal = (500, "internal_error", "An unexpected error happened. The API's log has it.")
        answer = refusals.answer(*refusal, path=getattr(req, "path", None) or "")
        try:
            util.write_nonblock(client, answer)
        except OSError:
            log.debug("a client left before its answer")

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """Send the rest of the answer, wait for the next request, or close. Called in the main loop after a thread."""
        if conn.sock.rest:
            conn.sock.setblocking(False)
            self.sending[conn] = (time.monotonic() + TAKE_SECONDS, fs)
            self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._send_rest, conn))
        elif not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
        else:
            self._leave(conn)

    def _send_rest(self, conn: Any, sock: Client) -> None:
        if conn not in self.sending:
            return
        _, fs = self.sending[conn]
        try:
            sock.send_rest()
        except OSError:
            log.debug("a client left before its answer was sent")
        self.sending[conn] = (time.monotonic() + TAKE_SECONDS, fs)
        if not sock.rest:
            self._end_sending(conn)
            self.finish_request(conn, fs)

    def _end_sending(self, conn: Any) -> None:
        del self.sending[conn]
        self.poller.unregister(conn.sock)

    def murder_pending(self) -> None:
        """Give up requests that do not arrive; close connections that clients leave open. Called each second."""
        now = time.monotonic()
        late = now - (ARRIVAL_SECONDS if self.alive else LEAVE_SECONDS)
        for conn in [conn for conn, arrival in self.arriving.items() if arrival.began < late]:
            self._give_up(conn)
        while len(self.arriving) > MAX_ARRIVING:
            self._give_up(next(iter(self.arriving)))
        for conn in [conn for conn, (until, _) in self.sending.items() if until < now]:
            conn.sock.drop_rest()
            self._end_sending(conn)
            self._close(conn)
        for conn in [conn for conn, until in self.leaving.items() if until < now]:
            self._leave_now(conn)

    def _give_up(self, conn: Any) -> None:
        if self.arriving[conn].data.strip():
            self._refuse(conn, *refusals.LATE)
        else:  # no byte was sent: a browser opened the connection in advance
            self._forget(conn)
            self._close(conn)

    def _refuse(self, conn: Any, status: int, code: str, detail: str) -> None:
        self._forget(conn)
        self._send(conn, refusals.answer(status, code, detail))
        self._leave(conn)

    def _send(self, conn: Any, data: bytes) -> None:
        """Send a few bytes, which always fit into the buffer. Reading shows later whether the client has left."""
        try:
            conn.sock.send(data)
        except OSError:
            log.debug("a client left before its answer")

    def _forget(self, conn: Any) -> None:
        self.arriving_bytes -= len(self.arriving.pop(conn).data)
        self.poller.unregister(conn.sock)

    def _leave(self, conn: Any) -> None:
        """Close the connection in the order that lets the client read its answer (RFC 9112, 9.6)."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        self.leaving[conn] = time.monotonic() + LEAVE_SECONDS
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drain, conn))

    def _drain(self, conn: Any, sock: socket.socket) -> None:
        if conn not in self.leaving:
            return
        try:
            gone = not sock.recv(PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            gone = True
        if gone:
            self._leave_now(conn)

    def _leave_now(self, conn: Any) -> None:
        del self.leaving[conn]
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the waits of clients at once. Called on SIGTERM."""
        self.app.end_waits()
        super().handle_exit(sig, frame)

    def is_parent_alive(self) -> bool:
        """End the waits of clients when the parent process was killed. Called every second."""
        alive = bool(super().is_parent_alive())
        if not alive:
            self.app.end_waits()
        return alive
