"""A process's log file below the home: a line that can't be written is dropped, and the next one is tried again."""

import contextlib
import io
from pathlib import Path

LOG_BYTES = 10_000_000  # a log longer than this is set aside at the next start


class LogFile:
    """Appends lines to a file, and goes on when the disk is full or the folder is gone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.FileIO | None = None
        self._dropped = 0
        with contextlib.suppress(OSError):
            if path.stat().st_size > LOG_BYTES:
                path.replace(path.with_suffix(".log.1"))

    def write(self, line: bytes) -> None:
        """Append the line, behind a word on those that could not be appended before. Never raises OSError."""
        gap = b"\n[%d lines could not be written here]\n" % self._dropped if self._dropped else b""
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = io.FileIO(self._path, "a")
            left = memoryview(gap + line)
            while left:
                left = left[self._file.write(left) :]
            self._dropped = 0
        except OSError:
            self._dropped += 1
            self.close()  # opened again for the next line: the file may have been replaced, or its folder made again

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
