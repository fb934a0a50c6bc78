"""What is cut: a message of a learned exchange, and the way in which it is cut."""

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
    """A message that passed: its point, the exchange that it belongs to, and its place there, from 0.

    An exchange is what one connection sends from the begin of a transaction to its end, a statement that is a
    transaction of its own, or what comes before the first statement; of other protocols it is one message.
    """

    point: Point
    exchange: int
    place: int
