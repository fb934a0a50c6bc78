"""Who may call a provider now: at most its max_concurrency, and no call of a model whose breaker is open.

The breaker is Nygard's circuit breaker (Release It!, 2007): closed, open for a while after a row of transient
failures, then half open, when a single probe decides. Each model of a provider has a breaker of its own, because one
that fails says nothing of its neighbours; the places are the provider's.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from types import TracebackType

from runner_worker.providers.ask import TryFailed

log = logging.getLogger(__name__)


class _Ticket:
    """A waiting call's place in its model's line; `number` is the order of arrival at the provider."""

    __slots__ = ("admitted", "has_place", "number", "probe")

    def __init__(self, number: int) -> None:
        self.admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.number = number
        self.has_place = self.probe = False


class _Breaker:
    """One model of the provider: its breaker, and its calls that wait."""

    __slots__ = ("failures", "line", "opens_at", "probing", "timer")

    def __init__(self) -> None:
        self.line: OrderedDict[int, _Ticket] = OrderedDict()  # by number, because any of them may leave
        self.failures = 0  # transient ones in a row
        self.opens_at = 0.0
        self.probing = False
        self.timer: asyncio.TimerHandle | None = None  # for when the breaker's time is over and calls wait


class Gate:
    """The entrance to one provider, first come, first served among the calls that may go.

    Owned by the event loop of the calls; `is_open` is for any thread.
    """

    def __init__(self, provider_id: str, width: int, *, threshold: int = 5, open_seconds: float = 30.0) -> None:
        self.provider_id = provider_id
        self.width = width
        self.threshold = threshold
        self.open_seconds = open_seconds
        self._breakers: dict[str, _Breaker] = {}
        self._running = 0
        self.waiting = 0  # calls without a place, of every model
        self._arrived = 0

    def admitted(self, model: str, deadline: float) -> "Admission":
        """Hold a place while the block calls the provider; what the block raises feeds the breaker of `model`.

        Waits for the place until `deadline`, then raises TryFailed: `provider_unavailable` when the breaker is open,
        else `timeout`.
        """
        return Admission(self, model, deadline)

    def is_open(self, model: str) -> bool:
        """Whether calls of `model` wait for its breaker, all but one probe at a time."""
        breaker = self._breakers.get(model)
        return breaker is not None and breaker.failures >= self.threshold

    async def enter(self, model: str, deadline: float) -> bool:
        """Wait for a place. True when the call is the probe of its model."""
        breaker = self._breakers.get(model) or self._breakers.setdefault(model, _Breaker())
        if not self.waiting and self._may_go(breaker):
            return self._take(breaker)
        self._arrived += 1
        self.waiting += 1
        ticket = breaker.line[self._arrived] = _Ticket(self._arrived)
        self._admit()  # those before it may all be waiting for breakers of other models
        try:
            async with asyncio.timeout_at(deadline):
                await ticket.admitted
        except (TimeoutError, asyncio.CancelledError) as gone:
            if ticket.has_place:  # it was let in at the same moment
                self._give_back(breaker, ticket.probe)
            elif breaker.line.pop(ticket.number, None):
                self.waiting -= 1
            if isinstance(gone, TimeoutError):
                code = "timeout" if breaker.failures < self.threshold else "provider_unavailable"
                raise TryFailed(code) from None
            raise
        return ticket.probe

    def leave(self, model: str, probe: bool, healthy: bool | None) -> None:
        """Give the place back. A call that was cancelled or cut by its deadline says nothing: `healthy` is None."""
        breaker = self._breakers[model]
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
        self._give_back(breaker, probe)

    def _give_back(self, breaker: _Breaker, probe: bool) -> None:
        self._running -= 1
        if probe:
            breaker.probing = False
        if self.waiting:
            self._admit()

    def _admit(self) -> None:
        """Let calls in while there is room, the one that came first before the others."""
        while self.waiting and (ready := [b for b in self._breakers.values() if b.line and self._may_go(b)]):
            breaker = min(ready, key=lambda b: next(iter(b.line)))
            _, ticket = breaker.line.popitem(last=False)
            self.waiting -= 1
            if not ticket.admitted.cancelled():  # else its call is about to leave the line
                ticket.has_place, ticket.probe = True, self._take(breaker)
                ticket.admitted.set_result(None)
        for breaker in self._breakers.values():
            if breaker.line and not breaker.timer and time.monotonic() < breaker.opens_at:
                loop = asyncio.get_running_loop()
                breaker.timer = loop.call_at(breaker.opens_at, self._time_is_over, breaker)

    def _time_is_over(self, breaker: _Breaker) -> None:
        breaker.timer = None
        self._admit()

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


class Admission:
    """A place at the provider for the time of a block."""

    __slots__ = ("_deadline", "_gate", "_model", "_probe")

    def __init__(self, gate: Gate, model: str, deadline: float) -> None:
        self._gate, self._model, self._deadline = gate, model, deadline
        self._probe = False

    async def __aenter__(self) -> None:
        self._probe = await self._gate.enter(self._model, self._deadline)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        healthy: bool | None = None
        if error is None:
            healthy = True
        elif isinstance(error, TryFailed) and error.code not in ("cancelled", "timeout"):
            healthy = not error.transient
        self._gate.leave(self._model, self._probe, healthy)
