"""Who may call a provider now: at most its max_concurrency, and no call of a model whose breaker is open.

The breaker is Nygard's circuit breaker (Release It!, 2007): closed, open for a while after a row of transient
failures, then half open, when a single probe decides. Each model of a provider has a breaker of its own, because one
that fails says nothing of its neighbours; the places are the provider's.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from runner_worker.providers.ask import TryFailed

log = logging.getLogger(__name__)

# How often a waiting call looks at its cancellation: two events can't be awaited together.
LOOK_SECONDS = 0.25


class _Ticket:
    """A waiting call's place in its model's line; `number` is the order of arrival at the provider."""

    __slots__ = ("admitted", "number", "probe")

    def __init__(self, number: int) -> None:
        self.admitted = threading.Event()
        self.number = number
        self.probe = False


class _Breaker:
    """One model of the provider: its breaker, and its calls that wait."""

    __slots__ = ("failures", "line", "opens_at", "probing")

    def __init__(self) -> None:
        self.line: deque[_Ticket] = deque()
        self.failures = 0  # transient ones in a row
        self.opens_at = 0.0
        self.probing = False


class Gate:
    """The entrance to one provider, first come, first served among the calls that may go. Thread-safe."""

    def __init__(self, provider_id: str, width: int, *, threshold: int = 5, open_seconds: float = 30.0) -> None:
        self.provider_id = provider_id
        self.width = width
        self.threshold = threshold
        self.open_seconds = open_seconds
        self._lock = threading.Lock()
        self._breakers: dict[str, _Breaker] = {}
        self._running = 0
        self.waiting = 0  # calls without a place, of every model
        self._arrived = 0

    @contextmanager
    def admitted(self, model: str, deadline: float, cancelled: threading.Event | None) -> Iterator[None]:
        """Hold a place while the block calls the provider; what the block raises feeds the breaker of `model`.

        Waits for the place until `deadline`, then raises TryFailed: `provider_unavailable` when the breaker is open,
        else `timeout`; `cancelled` as soon as that is seen.
        """
        probe = self._enter(model, deadline, cancelled)
        healthy: bool | None = None  # a call that was cancelled or cut by its deadline says nothing
        try:
            yield
            healthy = True
        except TryFailed as failed:
            if failed.code not in ("cancelled", "timeout"):
                healthy = not failed.transient
            raise
        finally:
            self._leave(model, probe, healthy)

    def is_open(self, model: str) -> bool:
        """Whether calls of `model` wait for its breaker, all but one probe at a time."""
        breaker = self._breakers.get(model)
        return breaker is not None and breaker.failures >= self.threshold

    def _enter(self, model: str, deadline: float, cancelled: threading.Event | None) -> bool:
        with self._lock:
            breaker = self._breakers.setdefault(model, _Breaker())
            if not self.waiting and self._may_go(breaker):
                return self._take(breaker)
            self._arrived += 1
            self.waiting += 1
            ticket = _Ticket(self._arrived)
            breaker.line.append(ticket)
            self._admit()  # those before it may all be waiting for breakers of other models
        while not ticket.admitted.wait(max(0.0, min(LOOK_SECONDS, deadline - time.monotonic()))):
            gone = "cancelled" if cancelled is not None and cancelled.is_set() else ""
            if not gone and time.monotonic() >= deadline:
                gone = "timeout" if breaker.failures < self.threshold else "provider_unavailable"
            with self._lock:
                self._admit()  # the breaker's time may be over, and only the waiting look at the clock
                if gone and not ticket.admitted.is_set():
                    breaker.line.remove(ticket)
                    self.waiting -= 1
                    raise TryFailed(gone)
        return ticket.probe

    def _leave(self, model: str, probe: bool, healthy: bool | None) -> None:
        with self._lock:
            breaker = self._breakers[model]
            self._running -= 1
            if probe:
                breaker.probing = False
            if healthy:
                if breaker.failures >= self.threshold:
                    log.warning("breaker closed provider=%s model=%s", self.provider_id, model)
                breaker.failures = 0
            elif healthy is False:
                breaker.failures += 1
                if probe or breaker.failures == self.threshold:
                    breaker.opens_at = time.monotonic() + self.open_seconds
                    ids = (self.provider_id, model)
                    log.warning("breaker open provider=%s model=%s failures=%d", *ids, breaker.failures)
            self._admit()

    def _admit(self) -> None:
        """Let calls in while there is room, the one that came first before the others."""
        while self.waiting and (ready := [b for b in self._breakers.values() if b.line and self._may_go(b)]):
            breaker = min(ready, key=lambda b: b.line[0].number)
            ticket = breaker.line.popleft()
            self.waiting -= 1
            ticket.probe = self._take(breaker)
            ticket.admitted.set()

    def _may_go(self, breaker: _Breaker) -> bool:
        if self._running >= self.width:
            return False
        if breaker.failures < self.threshold:
            return True
        return not breaker.probing and time.monotonic() >= breaker.opens_at

    def _take(self, breaker: _Breaker) -> bool:
        self._running += 1
        breaker.probing = breaker.failures >= self.threshold
        return breaker.probing
