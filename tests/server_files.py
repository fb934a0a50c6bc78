"""Where servers that nobody keeps put their files: in memory, where there is room, else where temporary files are.

A test has a database of its own, of 300 files. On ext4, making and removing these took a third of all the CPU of a
run: the kernel searches for an inode that was not freed a moment ago.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of an unguessable name is made in it
# Each place of a run has a PostgreSQL with up to 1 GB of WAL; both this file system and the machine need room for it.
ROOM = 8 << 30
PREFIX = "beacon-test-"


def make_folder() -> Path:
    """A new folder for servers that run until this process removes it. Others may pass through it, and not list it."""
    parent = MEMORY if has_room(MEMORY) else None
    if parent is not None:
        remove_orphans(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
    folder.chmod(0o711)
    return folder


def has_room(folder: Path) -> bool:
    """Return whether `folder` may have servers' files: programs run there, and it and the memory have the room."""
    try:
        found = os.statvfs(folder)
        available = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:  # another system than Linux
        return False
    if found.f_flag & os.ST_NOEXEC or not os.access(folder, os.W_OK) or available is None:
        return False
    return min(found.f_bavail * found.f_frsize, int(available[1]) << 10) >= ROOM


def remove_orphans(parent: Path) -> None:
    """Remove what killed runs of ours have left: memory is not as patient as a disk."""
    for folder in parent.glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)  # another user's are left, as they can't be removed
