"""The messages of a connection, and the interface of a protocol's reader."""

from collections.abc import Iterator
from typing import Protocol


class Message:
    """One message of a client: its bytes, and a label that is the same in every run of the same exchange."""

    __slots__ = ("data", "kind", "label")

    def __init__(self, data: bytes, label: str, kind: bytes = b"") -> None:
        self.data, self.label, self.kind = data, label, kind

    def __repr__(self) -> str:
        return f"Message({self.label!r}, {len(self.data)} bytes)"


class Reader(Protocol):
    """Divides both directions of one connection into messages."""

    def sent(self, data: bytes) -> Iterator[Message]:
        """Yield the client's messages that `data` completes."""

    def expects(self, message: Message) -> bool:
        """Return whether the server answers this message separately."""

    def answers(self, data: bytes) -> int:
        """Return how many of the client's messages, in their order, `data` completes the answers to."""
