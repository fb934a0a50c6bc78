"""A point: a message of a learned exchange. A way: how the message is cut."""

from dataclasses import dataclass
from typing import Literal

Way = Literal["before", "middle", "answer lost", "late", "killed"]
WAYS: tuple[Way, ...] = ("before", "middle", "answer lost", "late", "killed")


@dataclass(frozen=True, order=True)
class Point:
    """The `nth` message of this label in a run, from 1."""

    label: str
    nth: int

    def __str__(self) -> str:
        return f"{self.label} #{self.nth}"


@dataclass(frozen=True)
class Passed:
    """A message that passed: its point, its exchange, and its place in the exchange, from 0.

    With PostgreSQL an exchange is one transaction of one connection, or everything before the first statement. With
    other protocols it is one message.
    """

    point: Point
    exchange: int
    place: int
