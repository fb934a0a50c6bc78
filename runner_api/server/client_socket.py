"""The socket of a client. No thread waits for a client that takes its answer slowly."""

import errno
import select
import socket
import threading
from typing import Any, BinaryIO

TAKE_SECONDS = 30.0  # for a client to take anything at all
MAX_UNSENT_BYTES = 64 << 20  # of answers of a process that wait for their clients without a thread


class Unsent:
    """Counts the bytes of a process's answers that wait for their clients."""

    def __init__(self) -> None:
        self._bytes = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Count `size` more bytes, unless that exceeds MAX_UNSENT_BYTES; return whether they were counted."""
        with self._lock:
            room = self._bytes + size <= MAX_UNSENT_BYTES
            self._bytes += size if room else 0
            return room

    def give(self, size: int) -> None:
        """Count `size` bytes less: they were sent, or never will be."""
        with self._lock:
            self._bytes -= size


class Client(socket.socket):
    """A client's socket. `rest` is the part of an answer that could not be sent at once.

    The server's main loop sends `rest` later. A second write, of a stream, waits until `rest` is sent.
    """

    rest: memoryview = memoryview(b"")
    unsent: Unsent
    _counted = 0  # bytes of `rest` that are counted in `unsent`

    def setblocking(self, flag: bool, /) -> None:
        """Make the socket wait for TAKE_SECONDS at most, or not at all."""
        self.settimeout(TAKE_SECONDS if flag else 0.0)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send, or keep, all of `data`. Raises BrokenPipeError for a client that takes nothing for TAKE_SECONDS."""
        self._wait_for_rest()
        self.rest = memoryview(data)
        self.send_rest()
        if self.rest:
            if self.unsent.take(len(self.rest)):
                self._counted = len(self.rest)
            else:
                self._wait_for_rest()

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:  # type: ignore[override]
        """Send a file as any other data."""
        file.seek(offset)
        data = file.read(-1 if count is None else count)
        self.sendall(data)
        return len(data)

    def send_rest(self) -> None:
        """Send as much of `rest` as the connection takes now. Raises OSError when the client has left."""
        patience = self.gettimeout()
        self.settimeout(0.0)
        try:
            while self.rest:
                size = self.send(self.rest)
                self.rest = self.rest[size:]
                self._uncount(size)
        except BlockingIOError:
            pass
        except OSError:
            self.drop_rest()
            raise
        finally:
            self.settimeout(patience)

    def drop_rest(self) -> None:
        """Forget `rest`: the client will not get it."""
        self.rest = memoryview(b"")
        self._uncount(self._counted)

    def _uncount(self, size: int) -> None:
        size = min(size, self._counted)
        self._counted -= size
        self.unsent.give(size)

    def _wait_for_rest(self) -> None:
        while self.rest:
            poll = select.poll()
            poll.register(self, select.POLLOUT)
            if not poll.poll(TAKE_SECONDS * 1000):
                self.drop_rest()
                # gunicorn treats this error as a client that has left. It would log a timeout as an error of ours.
                raise BrokenPipeError(errno.EPIPE, "the client takes no answer")
            self.send_rest()
