"""Counts the calls of this process: how many it has in hand, how many more it may claim, which it may make now."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from types import TracebackType

from runner_core.regions import Provider
from runner_core.store.region_runs import Room
from runner_worker.engine.held_back import HeldBack, Line, Waiting, line_of
from runner_worker.engine.runs import Call, Run

RUNS_PER_PLACE = 6  # most region runs per place; reached when most of their calls wait for a breaker
MAX_PREFETCH_CLAIMS = 2  # most calls to prefetch, in claims of full size
WEIGHT = 0.1  # weight of a new value in the moving averages


@dataclass(slots=True)
class Tally:
    """Counts that one thread writes and the other one only reads."""

    seconds: float  # moving average: of a claim, or of a call
    by_provider: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    runs: int = 0

    def count(self, provider_id: str) -> None:
        """Count one call."""
        self.by_provider[provider_id] += 1
        self.calls += 1

    def took(self, seconds: float) -> None:
        """Add a duration to the moving average."""
        self.seconds += (seconds - self.seconds) * WEIGHT


class Capacity:
    """Counts calls and gives out places. No other class counts calls.

    A call is in hand from its claim to its answer. A call has a place while it is made. Two threads use this object.
    The claiming thread calls `room`, `rooms`, `claimed` and `claim_took`; the engine's event loop calls the rest.
    One thread writes each number, and the other thread only reads it, so there is no lock.
    """

    def __init__(
        self, concurrency: int, claim_batch: int, is_open: Callable[[str, str], bool], kept: Callable[[], int] = int
    ) -> None:
        """`is_open(provider, model)` returns whether a breaker is open; `kept()`, how many runs wait for a rewrite."""
        self.places = concurrency
        self._max_prefetch = MAX_PREFETCH_CLAIMS * claim_batch
        self._is_open = is_open
        self._kept = kept
        self._claimed = Tally(0.0)  # written by the claiming thread
        # Written by the event loop.
        self._ended = Tally(60.0)  # 60 s: a guess until calls have been made
        self._waiting_for_breakers = 0
        self._in_flight: Counter[Line] = Counter()
        self._waiting: dict[str, deque[Waiting]] = {}  # by provider, in the order of arrival
        self._held_back = HeldBack(is_open)
        self._look_is_due = False

    def room(self) -> int:
        """Return how many more calls this process may claim: places + prefetch - in hand.

        Return 0 until half of the prefetched calls are used up, so that claims stay large while every place is busy.
        """
        prefetch, in_hand = self.prefetch(), self.in_hand()
        if in_hand > self.places + prefetch // 2:
            return 0
        return max(0, min(self.places + prefetch - in_hand, RUNS_PER_PLACE * self.places - self.runs()))

    def prefetch(self) -> int:
        """Return how many calls are expected to end while a claim is made. So many may be claimed in advance.

        Prefetch matters for calls of up to about 200 ms (a fifth of the rate at 50 ms). For calls of seconds it is 0,
        so that the regions stay in the queue for other workers.
        """
        ended = self.places * self._claimed.seconds / max(self._ended.seconds, 1e-6)
        return int(min(ended, self._max_prefetch))

    def in_hand(self) -> int:
        """Return how many calls were claimed and not answered.

        Calls that wait for a breaker do not count. A run whose rows wait to be written again counts as one call.
        """
        waiting = self._waiting_for_breakers
        return max(0, self._claimed.calls - self._ended.calls - waiting) + self._kept()

    def runs(self) -> int:
        """Return how many region runs this process holds."""
        return self._claimed.runs - self._ended.runs

    def in_flight(self) -> int:
        """Return how many calls have a place."""
        return sum(self._in_flight.values())

    def unanswered(self) -> Counter[Line]:
        """Return for each breaker how many calls have a place or wait for one. In the event loop."""
        waiting = chain(self._held_back, *self._waiting.values())
        return self._in_flight + Counter(line_of(each.call) for each in waiting if not each.admitted.done())

    # -- for the claiming thread --

    def rooms(self, providers: Iterable[Provider]) -> tuple[list[Room], int]:
        """Return how many calls of each model get a place at once, and how many in all. The claim starts them.

        A place that is free now is still free when the runs begin, because only this thread claims calls.
        """
        prefetch = self.prefetch()
        free = max(0, self.places + prefetch - self.in_hand())
        rooms = []
        for provider in providers:
            in_hand = self._claimed.by_provider[provider.id] - self._ended.by_provider[provider.id]
            calls = min(free, provider.max_concurrency + prefetch - in_hand)
            if calls > 0:
                models = (model for model in provider.models if not self._is_open(provider.id, model))
                rooms += [Room(provider.region, model, provider.id, calls) for model in models]
        return rooms, free

    def claimed(self, runs: Iterable[Run]) -> None:
        """Count the runs of a claim, and their calls."""
        for run in runs:
            self._claimed.runs += 1
            for call in run.plan:
                call.in_hand = True
                self._claimed.count(line_of(call)[0])

    def claim_took(self, seconds: float) -> None:
        """Add the duration of a claim to the moving average."""
        self._claimed.took(seconds)

    # -- for the event loop --

    def place(self, call: Call) -> "Place":
        """Return an async context manager: the call waits for a place and holds the place during the block.

        The calls of a provider get places in the order of arrival. A call that the claim has started does not wait.
        """
        return Place(self, call)

    async def enter(self, call: Call) -> None:
        """Wait for a place."""
        if call.started:
            self._in_flight[line_of(call)] += 1
            return
        waiting = Waiting(call, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(line_of(call)[0], deque()).append(waiting)
        self._look_soon()
        try:
            await waiting.admitted
        except asyncio.CancelledError:
            if not waiting.admitted.cancelled():  # the call got its place just before the cancellation
                self._in_flight[line_of(call)] -= 1
            self._look_soon()
            raise

    def leave(self, call: Call) -> None:
        """Give back the place of a call that has ended, with or without an answer."""
        self._in_flight[line_of(call)] -= 1
        if call.sent:
            self._ended.took(time.monotonic() - call.begun)
        self._out_of_hand(call)
        self._look_soon()

    def ended(self, run: Run) -> None:
        """Count the end of a run and of its calls that have no answer."""
        self._ended.runs += 1
        for call in run.plan:
            self._out_of_hand(call)

    def answered(self, call: Call) -> None:
        """Count the end of a call that needed no place."""
        self._out_of_hand(call)

    def look(self) -> None:
        """Give the free places to waiting calls. Call this repeatedly: a breaker closes without a notification."""
        self._look_is_due = False
        for waiting in reversed(list(self._held_back.take(self._in_flight))):
            self._waiting[line_of(waiting.call)[0]].appendleft(waiting)
        in_use = {line: calls for line, calls in self._in_flight.items() if calls}
        at_breakers = {line for line in in_use if self._is_open(*line)}
        total = sum(calls for line, calls in in_use.items() if line not in at_breakers)
        prefetch = self.prefetch()
        for provider_id, line_up in self._waiting.items():
            if line_up:
                busy = sum(n for line, n in in_use.items() if line[0] == provider_id and line not in at_breakers)
                total += self._let_go(line_up, busy, self.places + prefetch - total, prefetch)
        probes = sum(calls for line, calls in self._in_flight.items() if calls and self._is_open(*line))
        self._waiting_for_breakers = len(self._held_back) + probes

    def _let_go(self, waiting: deque[Waiting], busy: int, room: int, prefetch: int) -> int:
        """Give places to at most `room` of a provider's waiting calls; return how many calls got one."""
        went = 0
        while waiting and went < room:
            call, provider = waiting[0].call, waiting[0].call.unit.provider
            if waiting[0].admitted.done():  # cancelled
                waiting.popleft()
            elif self._held_back.must_wait(call, self._in_flight):
                self._held_back.put(waiting.popleft())
            elif provider is None or busy + went >= provider.max_concurrency + prefetch:
                break
            else:
                self._in_flight[line_of(call)] += 1
                went += 1
                waiting.popleft().admitted.set_result(None)
        return went

    def _look_soon(self) -> None:
        """Schedule one `look` after the callbacks that are ready: many calls may end at the same moment."""
        if not self._look_is_due:
            self._look_is_due = True
            asyncio.get_running_loop().call_soon(self.look)

    def _out_of_hand(self, call: Call) -> None:
        if call.in_hand:
            call.in_hand = False
            self._ended.count(line_of(call)[0])


class Place:
    """The async context manager in which one call has its place."""

    __slots__ = ("_call", "_capacity")

    def __init__(self, capacity: Capacity, call: Call) -> None:
        self._capacity, self._call = capacity, call

    async def __aenter__(self) -> None:
        await self._capacity.enter(self._call)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._capacity.leave(self._call)
