"""A disk of a megabyte or more that a test may fill, without harm to the machine's own."""

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A tmpfs of its own, mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave not a single byte."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):  # no space left on the device
                    while True:
                        file.write(b"\0" * size)

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(mebibytes: int) -> Iterator[SmallDisk]:
    """Mount one; skips the test where mounting isn't allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.TemporaryDirectory(prefix="beacon-disk-") as folder:
        Path(folder).chmod(0o711)
        path = Path(folder) / "disk"
        path.mkdir()
        options = f"size={mebibytes}m".encode()
        if not hasattr(libc, "mount") or libc.mount(b"tmpfs", bytes(path), b"tmpfs", 0, options) != 0:
            pytest.skip(f"mounting a small disk isn't allowed here: {os.strerror(ctypes.get_errno())}")
        try:
            yield SmallDisk(path)
        finally:
            if libc.umount2(bytes(path), 2) != 0:  # detached: gone as soon as nobody uses it
                raise OSError(ctypes.get_errno(), "the small disk can't be unmounted")
