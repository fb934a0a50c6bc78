"""Prepares stdin, stdout and stderr, which may be closed, full, or of a terminal without UTF-8.

A closed descriptor is opened on /dev/null, so that no file or socket gets its number. Each stream has a rule for output
that can't be written: an error, or the output is dropped.
"""

import codecs
import contextlib
import io
import os
import sys
from typing import Any, TextIO

# ASCII replacements of characters in our output, for terminals without them. Other characters become question marks.
PLAIN = {"\xa0": " ", "✓": "+", "✗": "x", "…": "~", "·": "."}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace a character that the encoding lacks (an error handler, see codecs.register_error)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("beacon-plain", _plain)


class Dropping(io.RawIOBase):
    """Writes to a descriptor; output that can't be written, to a full disk or a closed pipe, is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False  # the last write stopped in the middle of a line

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal's."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return True: output that can't be written is dropped."""
        return True

    def write(self, data: Any) -> int:
        """Write as much as possible, and return the length of `data` in any case."""
        left = memoryview(b"\n" + bytes(data) if self._torn else data)
        size = len(left)
        with contextlib.suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]
        if len(left) < size:
            self._torn = bool(left)
        return len(data)


class Named(io.FileIO):
    """Writes to a descriptor; an error has the stream's name as its file name."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._stream = name

    def write(self, data: Any) -> int:
        """Write as FileIO does. Raises OSError with the stream's name as its file name."""
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self._stream
            raise


def for_a_command() -> None:
    """Prepare the streams of a command: if stdout can't be written it is an error, if stderr can't, text is dropped."""
    _open_missing()
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)), encoding="utf-8")
    raw = Named(1, "stdout")
    sys.stdout = _text(io.BufferedWriter(raw), sys.stdout, line_buffering=raw.isatty())
    sys.stderr = _text(Dropping(2), sys.stderr, write_through=True)


def for_a_server() -> None:
    """Prepare the streams of a server process: output that can't be written is dropped, and the process goes on."""
    _open_missing()
    sys.stdout = _text(Dropping(1), sys.stdout, write_through=True)
    sys.stderr = _text(Dropping(2), sys.stderr, write_through=True)


def discard_output() -> None:
    """Discard the buffer of stdout: otherwise the interpreter would try to write it again at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _open_missing() -> None:
    """Open each closed standard descriptor in the wrong direction, so that its use is an error and no other file gets
    its number."""
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # opens the lowest free number, which is this one


def _text(binary: Any, old: TextIO | None, **buffering: bool) -> TextIO:
    """Return a text stream with the encoding of the old one; a character that the encoding lacks is replaced."""
    encoding = old.encoding if old is not None else "utf-8"
    return io.TextIOWrapper(binary, encoding=encoding, errors="beacon-plain", **buffering)  # type: ignore[arg-type]
