"""Limits the calls to a provider: at most max_concurrency at once, and none to a model whose breaker is open.

The breaker is Nygard's circuit breaker (Release It!, 2007): closed; open for a while after several transient failures
in a row; then half open, when one call (the probe) decides. Each model of a provider has its own breaker, because one
model may fail while the others work. All models of a provider share its places.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from types import TracebackType

from runner_worker.providers.failures import TryFailed
from runner_worker.providers.state import ModelState

log = logging.getLogger(__name__)


class _Ticket:
    """A call that waits for its model's breaker or for a place; `number` is its order of arrival at the provider."""

    __slots__ = ("admitted", "has_place", "number", "probe")

    def __init__(self, number: int) -> None:
        self.admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.number = number
        self.has_place = self.probe = False


class _Breaker:
    """The breaker of one model, with the model's waiting calls."""

    __slots__ = ("failures", "in_flight", "last_code", "line", "open_until", "opens_at", "probing", "timer")

    def __init__(self) -> None:
        self.line: OrderedDict[int, _Ticket] = OrderedDict()  # waiting calls by number; any of them may be cancelled
        self.in_flight: dict[Admission, float] = {}  # Unix times of the starts, oldest first
        self.failures = 0  # consecutive transient failures
        self.last_code: str | None = None  # of the try that ended last: `ok` or an error code
        self.opens_at = 0.0  # time.monotonic() seconds
        self.open_until = 0.0  # the same moment in Unix seconds
        self.probing = False
        self.timer: asyncio.TimerHandle | None = None  # admits waiting calls when the breaker's time is over


class Gate:
    """Admits the calls to one provider, in the order of arrival among the calls that may be made now.

    Owned by the event loop of the calls. Any thread may call `is_open`.
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
        """Return an async context manager that holds a place while its block calls the provider.

        The block's success or exception is counted by the breaker of `model`. Waits for a place until `deadline`, then
        raises TryFailed: `provider_unavailable` if the breaker is open, else `timeout`.
        """
        return Admission(self, model, deadline)

    def is_open(self, model: str) -> bool:
        """Return whether the breaker of `model` is open or half open: all calls of the model but a probe wait."""
        breaker = self._breakers.get(model)
        return breaker is not None and breaker.failures >= self.threshold

    def models(self) -> list[str]:
        """Return the models that were asked."""
        return list(self._breakers)

    def state(self, model: str) -> ModelState:
        """Return the present state of a model; its `waiting` are the calls that wait at this gate."""
        breaker = self._breakers.get(model)
        if breaker is None:
            return ModelState(self.provider_id, model, self.width)
        return ModelState(
            self.provider_id,
            model,
            self.width,
            in_flight=len(breaker.in_flight),
            in_flight_since=next(iter(breaker.in_flight.values()), None),
            waiting=len(breaker.line),
            failures=breaker.failures,
            open_until=breaker.open_until if breaker.failures >= self.threshold else None,
            last_code=breaker.last_code,
        )

    async def enter(self, model: str, deadline: float) -> bool:
        """Wait for a place. Return whether the call is the probe of its model."""
        breaker = self._breakers.get(model) or self._breakers.setdefault(model, _Breaker())
        if not self.waiting and self._may_go(breaker):
            return self._take(breaker)
        self._arrived += 1
        self.waiting += 1
        ticket = breaker.line[self._arrived] = _Ticket(self._arrived)
        self._admit()  # perhaps all earlier calls wait for the breakers of other models
        try:
            async with asyncio.timeout_at(deadline):
                await ticket.admitted
        except (TimeoutError, asyncio.CancelledError) as gone:
            if ticket.has_place:  # the call got its place just before the timeout or cancellation
                self._give_back(breaker, ticket.probe)
            elif breaker.line.pop(ticket.number, None):
                self.waiting -= 1
            if isinstance(gone, TimeoutError):
                code = "timeout" if breaker.failures < self.threshold else "provider_unavailable"
                raise TryFailed(code) from None
            raise
        return ticket.probe

    def begin(self, model: str, call: "Admission") -> None:
        """Note that a call with a place begins now."""
        self._breakers[model].in_flight[call] = time.time()

    def leave(self, model: str, call: "Admission", probe: bool, healthy: bool | None, code: str) -> None:
        """Give the place of a call back. `healthy` is None for a call that was cancelled or ended by its deadline: the
        breaker does not count it. `code` is `ok` or the error's code."""
        breaker = self._breakers[model]
        breaker.in_flight.pop(call, None)
        if healthy is not None:
            breaker.last_code = code
        if healthy:
            if breaker.failures >= self.threshold:
                log.warning("breaker closed provider=%s model=%s", self.provider_id, model)
            breaker.failures = 0
        elif healthy is False:
            breaker.failures += 1
            if probe or breaker.failures == self.threshold:
                breaker.opens_at = time.monotonic() + self.open_seconds
                breaker.open_until = time.time() + self.open_seconds
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
        """Admit waiting calls while there are places, in the order of arrival."""
        while self.waiting and (ready := [b for b in self._breakers.values() if b.line and self._may_go(b)]):
            breaker = min(ready, key=lambda b: next(iter(b.line)))
            _, ticket = breaker.line.popitem(last=False)
            self.waiting -= 1
            if not ticket.admitted.cancelled():  # else its call is being cancelled and needs no place
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
    """The async context manager in which a call has a place at the provider."""

    __slots__ = ("_deadline", "_gate", "_model", "_probe")

    def __init__(self, gate: Gate, model: str, deadline: float) -> None:
        self._gate, self._model, self._deadline = gate, model, deadline
        self._probe = False

    async def __aenter__(self) -> None:
        self._probe = await self._gate.enter(self._model, self._deadline)
        self._gate.begin(self._model, self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        healthy: bool | None = None
        code = "ok"
        if error is None:
            healthy = True
        elif isinstance(error, TryFailed):
            healthy, code = error.breaker, error.code
        self._gate.leave(self._model, self, self._probe, healthy, code)
