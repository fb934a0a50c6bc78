"""The threads that call: as many as there are calls that block, and no more.

A ThreadPoolExecutor wakes one thread for each call it is given. Of those that are awake all but one wait for the
interpreter's lock, and each of them asks for it again and again. Here at most one thread is on its way at a time (the
Leader/Followers pattern, Schmidt et al., 2000): it takes a call, wakes the next one if more are waiting, and then
works. So calls that block start one right after the other, and calls that don't are done by a thread or two.
"""

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Callers(Generic[T]):
    """At most `most` threads that each do `work` for one item at a time; `work` must not raise.

    Threads are made when there is something for them to do, and stay.
    """

    def __init__(self, most: int, work: Callable[[T], None]) -> None:
        self._most = most
        self._work = work
        self._lock = threading.Lock()
        self._items: deque[T] = deque()
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._threads = self._asleep = 0
        self._coming = False  # a thread has been woken and has not taken its item yet
        self._closed = False

    def put(self, item: T) -> None:
        """Have `item` worked on as soon as a thread is free."""
        with self._lock:
            self._items.append(item)
            self._wake_one()

    def close(self) -> None:
        """Forget what nobody works on yet; threads end after what they are doing."""
        with self._lock:
            self._closed = True
            self._items.clear()
            for _ in range(self._asleep):
                self._wakes.put(None)

    def _wake_one(self) -> None:
        if self._coming or self._closed:
            return
        if self._asleep:
            self._coming = True
            self._asleep -= 1
            self._wakes.put(None)
        elif self._threads < self._most:
            self._coming = True
            self._threads += 1
            threading.Thread(target=self._serve, name=f"call_{self._threads}", daemon=True).start()

    def _serve(self) -> None:
        arriving = True
        while True:
            with self._lock:
                if arriving:
                    self._coming = arriving = False
                if self._closed:
                    return
                idle = not self._items
                if idle:
                    self._asleep += 1
                else:
                    item = self._items.popleft()
                    if self._items:
                        self._wake_one()
            if idle:
                self._wakes.get()
                arriving = True
            else:
                self._work(item)
