"""Holds the calls of models whose breaker is open, so that they do not block their provider's other models."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from runner_worker.engine.runs import Call

LAST_SECONDS = 1.0  # a call waits its last second at the breaker itself, and so fails with the breaker's error
Line = tuple[str, str]  # the key of a breaker: a provider's id and one of its models


def line_of(call: Call) -> Line:
    """Return the key of the breaker that a call has to pass."""
    return call.unit.provider.id if call.unit.provider else "", call.unit.model_id


@dataclass(eq=False, slots=True)
class Waiting:
    """A call that waits for a place. `admitted` is done when the call gets its place or is cancelled."""

    call: Call
    admitted: "asyncio.Future[None]"


class HeldBack:
    """The calls that wait because their model's breaker is open. A waiting call uses no place of its provider.

    One call of each model is still sent: the breaker's probe. The other calls return when the breaker has closed, or
    when their own time is over, so that they fail. Owned by the engine's event loop.
    """

    def __init__(self, is_open: Callable[[str, str], bool]) -> None:
        self._is_open = is_open
        self._lines: dict[Line, deque[Waiting]] = {}

    def __len__(self) -> int:
        """Return how many calls are held back. Cancelled calls do not count."""
        return sum(not waiting.admitted.done() for line in self._lines.values() for waiting in line)

    def __iter__(self) -> Iterator[Waiting]:
        """Iterate over the calls that are held back."""
        return (waiting for line in self._lines.values() for waiting in line)

    def must_wait(self, call: Call, in_flight: Mapping[Line, int]) -> bool:
        """Return whether this call has to wait for the result of its model's probe."""
        line = line_of(call)
        return bool(in_flight.get(line)) and self._is_open(*line) and not _is_late(call, time.monotonic())

    def put(self, waiting: Waiting) -> None:
        """Hold a call back. The time limit of the call starts now, as it would at the breaker."""
        waiting.call.begun = waiting.call.begun or time.monotonic()
        self._lines.setdefault(line_of(waiting.call), deque()).append(waiting)

    def take(self, in_flight: Mapping[Line, int]) -> Iterator[Waiting]:
        """Remove and yield the calls that may be sent now, in the order of arrival."""
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
