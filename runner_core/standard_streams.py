"""stdin, stdout and stderr of a program, whatever they are: closed, full, or of a terminal that is not UTF-8.

Nothing of the standard library's start-up is left to chance here: a closed descriptor is opened, so that no file or
socket of ours gets its number, and each stream says what becomes of what can't be written.
"""

import codecs
import contextlib
import io
import os
import sys
from typing import Any, TextIO

# What our own output has beyond ASCII, for terminals that lack it; any other character becomes a question mark.
PLAIN = {"\xa0": " ", "✓": "+", "✗": "x", "…": "~", "·": "."}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """An error handler for encoding (see codecs.register_error)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("beacon-plain", _plain)


class Dropping(io.RawIOBase):
    """Writes to a descriptor and drops what can't be written: its disk is full, or its reader has left."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False  # the last write stopped in the middle of a line

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal's."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Always: what can't be written is dropped."""
        return True

    def write(self, data: Any) -> int:
        """Write what can be written and claim that all was."""
        left = memoryview(b"\n" + bytes(data) if self._torn else data)
        size = len(left)
        with contextlib.suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]
        if len(left) < size:
            self._torn = bool(left)
        return len(data)


class Named(io.FileIO):
    """Writes to a descriptor; an error names the stream as errors of other files name theirs."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._stream = name

    def write(self, data: Any) -> int:
        """Raises OSError with the stream's name as its file name."""
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self._stream
            raise


def for_a_command() -> None:
    """Streams for a command line: a result that can't be written is an error, a remark that can't be is dropped."""
    _open_missing()
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)), encoding="utf-8")
    raw = Named(1, "stdout")
    sys.stdout = _text(io.BufferedWriter(raw), sys.stdout, line_buffering=raw.isatty())
    sys.stderr = _text(Dropping(2), sys.stderr, write_through=True)


def for_a_server() -> None:
    """Streams for a process that serves: what can't be written costs lines, never the process."""
    _open_missing()
    sys.stdout = _text(Dropping(1), sys.stdout, write_through=True)
    sys.stderr = _text(Dropping(2), sys.stderr, write_through=True)


def discard_output() -> None:
    """Throw away what stdout still holds: the interpreter would try to write it once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _open_missing() -> None:
    """Open closed descriptors in the wrong direction: who reads or writes them gets an error, and no file of ours."""
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # the lowest number that is free, which is this one


def _text(binary: Any, old: TextIO | None, **buffering: bool) -> TextIO:
    """A text stream in the encoding that the old one had; a character that it lacks becomes a plainer one."""
    encoding = old.encoding if old is not None else "utf-8"
    return io.TextIOWrapper(binary, encoding=encoding, errors="beacon-plain", **buffering)  # type: ignore[arg-type]
