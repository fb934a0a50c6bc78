"""A TCP proxy that can be told to misbehave: what stands between two processes and their server in a bad hour.

    with Proxy("127.0.0.1", 5432) as proxy:
        proxy.swallow()      # requests arrive, answers get lost
        proxy.heal()

One thread with its own event loop; every method may be called from any other thread and has taken effect when it
returns.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

from runner_cli.child import free_port

CHUNK = 65536


class Proxy:
    """Listens on a free port of 127.0.0.1 (or of `bind`) and carries bytes to and from `host`:`port`."""

    def __init__(self, host: str, port: int, bind: str = "127.0.0.1") -> None:
        self._upstream = (host, port)
        self._bind = bind
        self._links: set[Link] = set()
        self._delay = 0.0
        self._cut_after: int | None = None
        self._swallowing = False
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self.port = free_port()  # it is listened on anew after `refuse`, so no connection may be given it meanwhile
        self.connections = 0  # accepted so far
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {port}", daemon=True)
        self._thread.start()
        self._do(self._listen)

    # -- faults --

    def delay(self, seconds: float) -> None:
        """Hold back every piece of data, in both directions, for so long."""
        self._delay = seconds

    def cut(self, after_bytes: int = 0) -> None:
        """Reset each open connection when so many more bytes have passed on it, in whichever direction."""

        def now() -> None:
            for link in list(self._links):
                link.bytes_left = after_bytes
                if not after_bytes:
                    link.abort()

        self._do(now)

    def swallow(self) -> None:
        """Carry requests and lose every answer: the server has done it, the client will never know."""
        self._swallowing = True

    def refuse(self) -> None:
        """Reset what is open and refuse what comes."""
        self._do(self._close)

    def black_hole(self) -> None:
        """Accept connections and data and carry nothing, as when packets vanish; after `heal` it flows on."""
        self._do(self._flowing.clear)

    def lead_to(self, host: str, port: int) -> None:
        """Connect what comes from now on to another server. What is open stays where it is, as after a failover."""
        self._upstream = (host, port)

    def heal(self) -> None:
        """Behave again. Connections that lost bytes are reset: what follows would make no sense."""
        self._delay, swallowed, self._swallowing = 0.0, self._swallowing, False

        def mend() -> None:
            self._flowing.set()
            for link in list(self._links):
                link.bytes_left = None
                if swallowed and link.lost:
                    link.abort()

        self._do(mend)
        if self._server is None:
            self._do(self._listen)

    def close(self) -> None:
        """Stop for good."""
        if not self._loop.is_running():
            return
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def carried(self, link: "Link", data: bytes, *, answers: bool) -> None:
        """Called in the proxy's thread for each piece of data, before it is carried on: for proxies that count."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the proxy's own thread --

    def _do(self, work: Callable[[], object]) -> None:
        async def call() -> None:
            result = work()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._accept, self._bind, self.port, limit=CHUNK, backlog=256, reuse_address=True
        )

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for link in list(self._links):
            link.abort()

    async def _end(self) -> None:
        await self._close()
        carrying = asyncio.all_tasks() - {asyncio.current_task()}
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        link = Link(writer)
        self._links.add(link)
        try:
            await self._flowing.wait()
            upstream_reader, upstream = await asyncio.open_connection(*self._upstream, limit=CHUNK)
            link.writers.append(upstream)
            await asyncio.gather(
                self._carry(link, reader, upstream, answers=False),
                self._carry(link, upstream_reader, writer, answers=True),
            )
        except (OSError, asyncio.CancelledError):  # no server behind it, either side has gone, or `close` ends it
            pass
        finally:
            link.abort()
            self._links.discard(link)

    async def _carry(
        self, link: "Link", reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while data := await reader.read(CHUNK):
            self.carried(link, data, answers=answers)
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._flowing.wait()
            if answers and self._swallowing:
                link.lost = True
                continue
            if link.bytes_left is not None and len(data) >= link.bytes_left:
                writer.write(data[: link.bytes_left])
                with contextlib.suppress(OSError):
                    await writer.drain()
                link.abort()
                return
            if link.bytes_left is not None:
                link.bytes_left -= len(data)
            writer.write(data)
            await writer.drain()
        if not link.lost and writer.can_write_eof():
            writer.write_eof()


class Link:
    """One carried connection."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.writers = [client]
        self.bytes_left: int | None = None  # until it is cut
        self.lost = False

    def abort(self) -> None:
        """End both sides with a reset: a program that ended properly would have said goodbye."""
        for writer in self.writers:
            end = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
