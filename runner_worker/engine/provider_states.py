"""Keeps the states of the providers' models for the heartbeat, and sets their gauges."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from runner_core.telemetry import BREAKER_OPEN, CALLS_WAITING, series
from runner_worker.engine.capacity import Capacity
from runner_worker.engine.held_back import Line
from runner_worker.providers import Providers
from runner_worker.providers.state import ModelState


class ProviderStates:
    """The newest states of the models that have anything to tell. The event loop replaces them; any thread may read
    `newest`.

    A call waits from its claim to its request, and between two tries: at the provider's gate, for a place, because its
    model's breaker is open, or because the provider asked for a pause. `changed` is called when a breaker has opened or
    closed, or when calls begin or end to wait at an open one.
    """

    def __init__(
        self, regions: Mapping[str, str], providers: Providers, capacity: Capacity, changed: Callable[[], None]
    ) -> None:
        """`regions`: the region of each provider, by the provider's id."""
        self.newest: tuple[ModelState, ...] = ()
        self._regions = regions
        self._providers = providers
        self._capacity = capacity
        self._changed = changed

    def look(self) -> None:
        """Replace the states by the present ones. In the event loop."""
        unanswered = self._capacity.unanswered()
        states = (
            replace(state, waiting=max(0, unanswered[state.provider, state.model] - state.in_flight))
            for state in self._providers.states(unanswered)
        )
        before, self.newest = self.newest, tuple(state for state in states if state.tells)
        self._measure(before)
        if _pauses(before) != _pauses(self.newest):
            self._changed()

    def _measure(self, before: tuple[ModelState, ...]) -> None:
        """Set the gauges. A model that has nothing to tell any more has the value 0."""
        found: dict[Line, tuple[bool, int]] = {(state.provider, state.model): (False, 0) for state in before}
        found |= {(it.provider, it.model): (it.open_until is not None, it.waiting) for it in self.newest}
        for (provider, model), (is_open, waiting) in found.items():
            labels = (self._regions[provider], provider, model)
            series(BREAKER_OPEN, *labels).set(is_open)
            series(CALLS_WAITING, *labels).set(waiting)


def _pauses(states: tuple[ModelState, ...]) -> set[tuple[str, str, float, bool]]:
    return {(it.provider, it.model, it.open_until, it.waiting > 0) for it in states if it.open_until is not None}
