"""How many calls this process has in hand, how many more it may take, and which of them may be made now."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from types import TracebackType

from runner_worker.engine.held_back import HeldBack, Line, Waiting, line_of
from runner_worker.engine.runs import Call, Run

RUNS_PER_PLACE = 6  # held at most, when most of their calls wait for a breaker
MAX_PREFETCH_CLAIMS = 2  # claims of full size
WEIGHT = 0.1  # of a new value in the moving averages


class Capacity:
    """The one place that counts calls.

    A call is in hand from its claim to its answer; it has a place while it is made. The thread that claims calls `room`
    and `choose` and counts what it claimed; the engine's event loop does all else. Each number has one writer, and the
    other thread only reads it.
    """

    def __init__(
        self, concurrency: int, claim_batch: int, is_open: Callable[[str, str], bool], kept: Callable[[], int] = int
    ) -> None:
        """`is_open` asks for a breaker, by provider and model; `kept` tells how many runs wait to be written again."""
        self.places = concurrency
        self._max_prefetch = MAX_PREFETCH_CLAIMS * claim_batch
        self._is_open = is_open
        self._kept = kept
        # Written by the thread that claims.
        self._claimed: Counter[str] = Counter()  # calls, by provider
        self._claimed_calls = self._claimed_runs = 0
        self._claim_seconds = 0.0
        # Written by the event loop.
        self._answered: Counter[str] = Counter()
        self._answered_calls = self._ended_runs = 0
        self._call_seconds = 60.0  # assumed, until calls have been made
        self._waiting_for_breakers = 0
        self._in_flight: Counter[Line] = Counter()
        self._waiting: dict[str, deque[Waiting]] = {}  # by provider, in the order of arrival
        self._held_back = HeldBack(is_open)
        self._look_is_due = False

    def room(self) -> int:
        """How many more calls this process may take in hand: places + prefetch - in hand.

        Nothing until half of the prefetched calls are used up, so that claims stay large while every place is busy.
        """
        prefetch, in_hand = self.prefetch(), self.in_hand()
        if in_hand > self.places + prefetch // 2:
            return 0
        return max(0, min(self.places + prefetch - in_hand, RUNS_PER_PLACE * self.places - self.runs()))

    def prefetch(self) -> int:
        """How many calls end while a claim is made, so that as many may be claimed and started ahead.

        It matters for calls of up to some 200 ms (a fifth of the rate at 50 ms). For calls of seconds it is 0: another
        worker had better take their regions.
        """
        ended = self.places * self._claim_seconds / max(self._call_seconds, 1e-6)
        return int(min(ended, self._max_prefetch))

    def in_hand(self) -> int:
        """How many calls were claimed and not answered, without those that wait for a breaker; a run whose rows wait to
        be written again counts as one."""
        waiting = self._waiting_for_breakers
        return max(0, self._claimed_calls - self._answered_calls - waiting) + self._kept()

    def runs(self) -> int:
        """How many region runs this process holds."""
        return self._claimed_runs - self._ended_runs

    def in_flight(self) -> int:
        """How many calls have a place."""
        return sum(self._in_flight.values())

    # -- the thread that claims --

    def choose(self, runs: Iterable[Run]) -> list[Call]:
        """Choose the calls of new runs that have a place at once: those are started in the transaction of the claim.

        Only the thread that claims takes calls in hand, so what is free now is still free when the runs begin.
        """
        prefetch = self.prefetch()
        free = self.places + prefetch - self.in_hand()
        planned = {provider: calls - self._answered[provider] for provider, calls in self._claimed.items()}
        chosen = []
        for run in runs:
            for call in run.plan:
                provider = call.unit.provider
                if provider is None or free <= 0:
                    continue
                busy = planned.get(provider.id, 0)
                if busy >= provider.max_concurrency + prefetch or self._is_open(*line_of(call)):
                    continue
                planned[provider.id] = busy + 1
                free -= 1
                chosen.append(call)
        return chosen

    def claimed(self, runs: Iterable[Run]) -> None:
        """Count what was claimed."""
        for run in runs:
            self._claimed_runs += 1
            for call in run.plan:
                call.in_hand = True
                self._claimed[line_of(call)[0]] += 1
                self._claimed_calls += 1

    def claim_took(self, seconds: float) -> None:
        """Take the time of a claim into account."""
        self._claim_seconds += (seconds - self._claim_seconds) * WEIGHT

    # -- the event loop --

    def place(self, call: Call) -> "Place":
        """A place for the time of an `async with` block, which makes the call. Waits for it, first come, first served.

        A call that was chosen at its claim does not wait.
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
            if not waiting.admitted.cancelled():  # it was let in at the same moment
                self._in_flight[line_of(call)] -= 1
            self._look_soon()
            raise

    def leave(self, call: Call) -> None:
        """Give the place of a call back: it has its answer, or will have none."""
        self._in_flight[line_of(call)] -= 1
        if call.sent:
            self._call_seconds += (time.monotonic() - call.begun - self._call_seconds) * WEIGHT
        self._out_of_hand(call)
        self._look_soon()

    def ended(self, run: Run) -> None:
        """Count the end of a run, with those of its calls that have no answer."""
        self._ended_runs += 1
        for call in run.plan:
            self._out_of_hand(call)

    def answered(self, call: Call) -> None:
        """Count the answer to a call that needs no place."""
        self._out_of_hand(call)

    def look(self) -> None:
        """Let the calls go for which there is room. To be repeated now and then: breakers close by themselves."""
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
        """Let a provider's calls go, `room` of them at most; returns how many went."""
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
        """Look once when all that is ready has run: many calls may end at the same moment."""
        if not self._look_is_due:
            self._look_is_due = True
            asyncio.get_running_loop().call_soon(self.look)

    def _out_of_hand(self, call: Call) -> None:
        if call.in_hand:
            call.in_hand = False
            self._answered[line_of(call)[0]] += 1
            self._answered_calls += 1


class Place:
    """A place for one call, for the time of a block."""

    __slots__ = ("_call", "_capacity")

    def __init__(self, capacity: Capacity, call: Call) -> None:
        self._capacity, self._call = capacity, call

    async def __aenter__(self) -> None:
        await self._capacity.enter(self._call)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._capacity.leave(self._call)
