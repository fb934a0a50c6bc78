"""The calls of models whose breaker is open: out of the way of their provider's other models."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from runner_worker.engine.runs import Call

LAST_SECONDS = 1.0  # of its time a call waits at the breaker, which then says why it fails
Line = tuple[str, str]  # a provider's id and one of its models


def line_of(call: Call) -> Line:
    """Which breaker a call has to pass."""
    return call.unit.provider.id if call.unit.provider else "", call.unit.model_id


@dataclass(eq=False, slots=True)
class Waiting:
    """A call that waits for a place. `admitted` is cancelled when the call is."""

    call: Call
    admitted: "asyncio.Future[None]"


class HeldBack:
    """A call that waits for a breaker would hold a place, and a turn at its provider, that another model could use.

    Of each model one call goes all the same: the breaker's probe. The others come back when the breaker has closed, or
    when the time for their call is over, so that they fail. Owned by the engine's event loop.
    """

    def __init__(self, is_open: Callable[[str, str], bool]) -> None:
        self._is_open = is_open
        self._lines: dict[Line, deque[Waiting]] = {}

    def __len__(self) -> int:
        """How many wait, without those that were cancelled: their places are free already."""
        return sum(not waiting.admitted.done() for line in self._lines.values() for waiting in line)

    def must_wait(self, call: Call, in_flight: Mapping[Line, int]) -> bool:
        """Whether this call would only wait behind its model's probe."""
        line = line_of(call)
        return bool(in_flight.get(line)) and self._is_open(*line) and not _is_late(call, time.monotonic())

    def put(self, waiting: Waiting) -> None:
        """Hold a call back; from now on its time runs, as it would at the breaker."""
        waiting.call.begun = waiting.call.begun or time.monotonic()
        self._lines.setdefault(line_of(waiting.call), deque()).append(waiting)

    def take(self, in_flight: Mapping[Line, int]) -> Iterator[Waiting]:
        """Take those that may go now, in their order."""
        now = time.monotonic()
        for line, calls in self._lines.items():
            probe = not in_flight.get(line)
            while calls and (
                calls[0].admitted.done() or probe or not self._is_open(*line) or _is_late(calls[0].call, now)
            ):
                waiting = calls.popleft()
                if not waiting.admitted.done():
                    probe = False
                    yield waiting


def _is_late(call: Call, now: float) -> bool:
    ends = min(call.run.deadline, call.begun + call.run.provider_timeout)
    return call.begun > 0 and now >= ends - LAST_SECONDS
