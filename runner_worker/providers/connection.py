"""An HTTP/1.1 connection to a provider, as an asyncio protocol."""

import asyncio
import select
from typing import cast

from runner_worker.providers.failures import TryFailed
from runner_worker.providers.response import Response, ResponseReader

WRITE_SECONDS = 30.0


class Connection(asyncio.Protocol):
    """Sends requests over one connection, one at a time. Owned by the event loop that opened the connection."""

    def __init__(self) -> None:
        self.usable = True  # for another request
        self.used_at = 0.0  # when the last response was complete, in time.monotonic() seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reader: ResponseReader | None = None  # reads the response of the request under way
        self._answer: asyncio.Future[Response]
        self._paused = False  # the write buffer is full: the provider does not read

    async def exchange(self, request: bytes, until: float) -> Response:
        """Send one request and return its response; `until` is the limit in time.monotonic() seconds.

        Raises TryFailed. A cancelled task gets the response if that is complete already, else TryFailed `cancelled`.
        """
        answer: asyncio.Future[Response] = self._loop.create_future()
        self._answer = answer
        self._reader = ResponseReader()
        self._transport.write(request)
        timers = [self._loop.call_at(until, self._late)]
        if self._paused:
            timers.append(self._loop.call_at(min(until, self._loop.time() + WRITE_SECONDS), self._late_to_write))
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled():
                return answer.result()
            raise TryFailed("cancelled", stage="response") from None
        finally:
            for timer in timers:
                timer.cancel()
            reader, self._reader = self._reader, None
            self.used_at = self._loop.time()
            if self.usable and not (reader.complete and reader.keep_alive):
                self.close()

    def is_stale(self) -> bool:
        """Return whether the provider has closed this idle connection, or has sent bytes without a request.

        The socket is polled because the event loop may not have read this yet. A request sent over such a connection
        would be lost, and perhaps paid for.
        """
        if not self.usable or self._transport.is_closing():
            return True
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close the connection at once, even during a request."""
        self.usable = False
        self._transport.abort()

    # The methods that asyncio's transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._reader is None:
            self.close()
            return
        try:
            if self._reader.feed(data) and not self._answer.done():
                self._answer.set_result(self._reader.response())
        except TryFailed as failed:
            self._fail(failed)

    def eof_received(self) -> bool:
        self._ended()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(cleanly=exc is None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    def _ended(self, cleanly: bool = True) -> None:
        self.usable = False
        if self._reader and not self._answer.done():
            if cleanly and self._reader.end():
                self._answer.set_result(self._reader.response())
            else:
                self._answer.set_exception(TryFailed("connection_lost"))

    def _late(self) -> None:
        self._fail(TryFailed("write_timeout" if self._paused else "read_timeout"))

    def _late_to_write(self) -> None:
        if self._paused:
            self._fail(TryFailed("write_timeout"))

    def _fail(self, failed: TryFailed) -> None:
        if not self._answer.done():
            self._answer.set_exception(failed)
        self.close()
