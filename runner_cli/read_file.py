"""Read documents from files and stdin; an error is one sentence, and an editor's byte order mark is removed."""

import codecs
import sys
from pathlib import Path

from runner_cli.exits import UsageError

# The longer ones first: UTF-32's mark in little endian begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_file(name: str) -> bytes:
    """A file's bytes, or stdin's for `-`, in UTF-8 and without a byte order mark. Raises UsageError."""
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{shown(name)} can't be read: {error.strerror}") from None
    for mark, encoding in MARKS:
        if raw.startswith(mark):
            try:
                return raw[len(mark) :].decode(encoding).encode()
            except UnicodeError:
                raise UsageError(
                    f"{shown(name)} has the byte order mark of {encoding}, but is not {encoding}: save it as UTF-8"
                ) from None
    return raw


def shown(name: str) -> str:
    """Return the file's name for messages."""
    return "stdin" if name == "-" else name
