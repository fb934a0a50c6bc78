"""What a protocol's connection is divided into."""

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
    """Both directions of one connection, as its protocol divides them."""

    def sent(self, data: bytes) -> Iterator[Message]:
        """Yield the client's messages that `data` completes."""

    def expects(self, message: Message) -> bool:
        """Whether the server says something to this message alone."""

    def answers(self, data: bytes) -> int:
        """How many of the client's messages, in their order, `data` completes the answers to."""
