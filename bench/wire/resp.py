"""The messages of Redis. Source: the Redis serialization protocol specification."""

import re
from collections.abc import Iterator

from bench.wire.message import Message


class RedisReader:
    """A connection to Redis. A script is labelled by its first words."""

    def __init__(self) -> None:
        self._in, self._out = b"", b""

    def sent(self, data: bytes) -> Iterator[Message]:
        """Yield the client's commands that `data` completes."""
        self._in += data
        while (end := _resp_end(self._in, 0)) is not None:
            raw, self._in = self._in[:end], self._in[end:]
            words = [part for part in raw.split(b"\r\n")[2::2] if part]
            yield Message(raw, " ".join(_word(word) for word in words[: 2 if len(words) > 1 else 1]))

    def expects(self, message: Message) -> bool:
        """Every command has a reply."""
        return True

    def answers(self, data: bytes) -> int:
        """Return how many replies `data` completes."""
        self._out += data
        done = 0
        while (end := _resp_end(self._out, 0)) is not None:
            self._out = self._out[end:]
            done += 1
        return done


def _word(word: bytes) -> str:
    """Return the first line of a word, shortened, without the parts of a key that differ between runs."""
    line = word.strip().split(b"\n")[0][:40].decode(errors="replace")
    return re.sub(r"[0-9a-f]{8,}.*|test_\S+|[\w.-]*-\d+-[0-9a-f]{4}\S*", "*", line)


def _resp_end(data: bytes, at: int) -> int | None:
    """Return the end of the RESP value that begins at `at`; None if it is not complete."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, rest, end = data[at : at + 1], data[at + 1 : line], line + 2
    if kind in b"+-:_#,(":
        return end
    if kind in b"$!=":
        length = int(rest)
        end += 0 if length < 0 else length + 2
        return end if end <= len(data) else None
    if kind not in b"*%~>|":
        raise ValueError(f"not RESP: {data[at : at + 20]!r}")
    for _ in range(int(rest) * (2 if kind in b"%|" else 1)):
        inner = _resp_end(data, end)
        if inner is None:
            return None
        end = inner
    return end
