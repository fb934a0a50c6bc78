"""The screen of `beacon up`: print the processes' lines on one stream, and drop lines when its reader has gone.

A reader that has left, a full disk behind the stream or a terminal that was halted with Ctrl-S must not hold the
processes up: their pipes would fill, and each would wait in its next log line. So one thread writes, and what it does
not get rid of is dropped.
"""

import contextlib
import queue
import threading
from typing import TextIO

LINES = 10_000  # kept for a reader that is slow
LAST_SECONDS = 1.0  # for what is left at the end


class Screen:
    """Prints `name | line` on `stream`, in a colour of its own for each name when it is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._colours: dict[str, int] = {}
        self._lines: queue.Queue[str | None] = queue.Queue(LINES)
        self._dropped = 0
        self._writer = threading.Thread(target=self._write, name="screen", daemon=True)
        self._writer.start()

    def __call__(self, name: str, line: str) -> None:
        """Print a line, or drop it; never waits, never raises."""
        start, end = "", ""
        if self._is_terminal:
            start, end = f"\x1b[{self._colours.setdefault(name, 31 + len(self._colours) % 6)}m", "\x1b[0m"
        try:
            self._lines.put_nowait(f"{start}{name:<13} |{end} {line}\n")
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write the remaining lines, for a moment."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=LAST_SECONDS)
            self._writer.join(LAST_SECONDS)

    def _write(self) -> None:
        while (text := self._lines.get()) is not None:
            if self._dropped:
                text, self._dropped = f"[{self._dropped} lines are not shown; the log files have them]\n{text}", 0
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):  # ValueError: the stream was closed
                self._dropped += 1
