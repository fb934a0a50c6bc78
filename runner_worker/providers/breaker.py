"""Who may call a provider now: at most its max_concurrency, and nobody while its breaker is open.

The breaker is Nygard's circuit breaker (Release It!, 2007): closed, open for a while after a row of transient
failures, then half open, when a single probe decides. It and the semaphore are one object, because an open breaker
is a width of zero and a half-open one a width of one.
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
    """A waiting call's place in the line."""

    __slots__ = ("admitted", "probe")

    def __init__(self) -> None:
        self.admitted = threading.Event()
        self.probe = False


class Gate:
    """The entrance to one provider, first come, first served. Thread-safe."""

    def __init__(self, provider_id: str, width: int, *, threshold: int = 5, open_seconds: float = 30.0) -> None:
        self.provider_id = provider_id
        self.width = width
        self.threshold = threshold
        self.open_seconds = open_seconds
        self._lock = threading.Lock()
        self._line: deque[_Ticket] = deque()
        self._running = 0
        self._failures = 0  # transient ones in a row
        self._opens_at = 0.0
        self._probing = False

    @contextmanager
    def admitted(self, deadline: float, cancelled: threading.Event | None) -> Iterator[None]:
        """Hold a place while the block calls the provider; what the block raises feeds the breaker.

        Waits for the place until `deadline`, then raises TryFailed: `provider_unavailable` when the breaker is open,
        else `timeout`; `cancelled` as soon as that is seen.
        """
        probe = self._enter(deadline, cancelled)
        healthy: bool | None = None  # a call that was cancelled or cut by its deadline says nothing
        try:
            yield
            healthy = True
        except TryFailed as failed:
            if failed.code not in ("cancelled", "timeout"):
                healthy = not failed.transient
            raise
        finally:
            self._leave(probe, healthy)

    def _enter(self, deadline: float, cancelled: threading.Event | None) -> bool:
        with self._lock:
            if not self._line and self._has_room():
                return self._take()
            ticket = _Ticket()
            self._line.append(ticket)
        while not ticket.admitted.wait(max(0.0, min(LOOK_SECONDS, deadline - time.monotonic()))):
            gone = "cancelled" if cancelled is not None and cancelled.is_set() else ""
            if not gone and time.monotonic() >= deadline:
                gone = "timeout" if self._failures < self.threshold else "provider_unavailable"
            with self._lock:
                self._admit()  # the breaker's time may be over, and only the waiting look at the clock
                if gone and not ticket.admitted.is_set():
                    self._line.remove(ticket)
                    raise TryFailed(gone)
        return ticket.probe

    def _leave(self, probe: bool, healthy: bool | None) -> None:
        with self._lock:
            self._running -= 1
            if probe:
                self._probing = False
            if healthy:
                if self._failures >= self.threshold:
                    log.warning("breaker closed provider=%s", self.provider_id)
                self._failures = 0
            elif healthy is False:
                self._failures += 1
                if probe or self._failures == self.threshold:
                    self._opens_at = time.monotonic() + self.open_seconds
                    log.warning("breaker open provider=%s failures=%d", self.provider_id, self._failures)
            self._admit()

    def _admit(self) -> None:
        while self._line and self._has_room():
            ticket = self._line.popleft()
            ticket.probe = self._take()
            ticket.admitted.set()

    def _has_room(self) -> bool:
        if self._running >= self.width:
            return False
        if self._failures < self.threshold:
            return True
        return not self._probing and time.monotonic() >= self._opens_at

    def _take(self) -> bool:
        self._running += 1
        self._probing = self._failures >= self.threshold
        return self._probing
