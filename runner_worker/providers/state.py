"""The state of a provider's model in this process: calls in flight, calls that wait, the breaker."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runner_core.timestamps import timestamp

MOST_TOLD = 200  # states that a heartbeat writes: a row stays small however many models a provider has


@dataclass(frozen=True, slots=True)
class ModelState:
    """The state of one model of a provider at one moment. Times are Unix seconds.

    `width`: how many calls the provider takes at once, of all its models together. `in_flight`: calls that were sent
    and have no answer; `in_flight_since`: when the oldest of them began. `failures`: transient failures in a row.
    `open_until` is None while the breaker is closed; once the time is over, the breaker is half open. `last_code` is
    the code of the try that ended last, or `ok`.
    """

    provider: str
    model: str
    width: int
    in_flight: int = 0
    in_flight_since: float | None = None
    waiting: int = 0
    failures: int = 0
    open_until: float | None = None
    last_code: str | None = None

    @property
    def tells(self) -> bool:
        """Return whether there is anything to tell: a call in flight, a call that waits, or a failure."""
        return bool(self.in_flight or self.waiting or self.failures)


def as_json(states: Iterable[ModelState]) -> list[dict[str, Any]]:
    """Return the MOST_TOLD most telling states as JSON objects: open breakers first, then by waiting calls."""
    telling = sorted(
        (state for state in states if state.tells),
        key=lambda it: (it.open_until is None, -it.waiting, -it.failures, -it.in_flight, it.provider, it.model),
    )
    return [
        {
            "provider": state.provider,
            "model": state.model,
            "in_flight": state.in_flight,
            "in_flight_since": _time(state.in_flight_since),
            "width": state.width,
            "waiting": state.waiting,
            "failures": state.failures,
            "open_until": _time(state.open_until),
            "last_code": state.last_code,
        }
        for state in telling[:MOST_TOLD]
    ]


def _time(seconds: float | None) -> str | None:
    """Return a time in RFC 3339, in UTC."""
    return None if seconds is None else timestamp(datetime.fromtimestamp(seconds, UTC))
