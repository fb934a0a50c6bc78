"""An executor of daemon threads for blocking calls of an event loop."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from runner_core.loop_health import Loop

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """Runs functions in at most `count` daemon threads, which start when they are needed. Any thread may submit.

    Each function is a turn of `loop`, which rests while there is none: a function that does not end, or that no thread
    takes, is a stalled loop.
    Not a ThreadPoolExecutor, because the interpreter joins its threads at exit, and would wait for a database or a
    resolver that does not answer.
    """

    def __init__(self, name: str, count: int = 1, loop: Loop | None = None) -> None:
        self._name = name
        self._count = count
        self._loop = loop or Loop(name)
        self._loop.rest()
        self._unended = 0
        self._lock = threading.Lock()
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = self._idle = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call `fn` in a thread; return the future of its result."""
        future: Future[T] = Future()
        with self._lock:
            if not self._unended:
                self._loop.wake()
            self._unended += 1
            if self._idle:
                self._idle -= 1
            elif self._threads < self._count:
                self._threads += 1
                name = f"{self._name}_{self._threads}" if self._count > 1 else self._name
                threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._work.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after the submitted work. Returns at once."""
        with self._lock:
            for _ in range(self._threads):
                self._work.put(None)

    def _serve(self) -> None:
        while (taken := self._work.get()) is not None:
            future, work = taken
            if future.set_running_or_notify_cancel():
                _settle(future, work)
            del taken, future, work
            with self._lock:
                self._idle += self._work.empty()
                self._unended -= 1
                self._loop.turned()
                if not self._unended:
                    self._loop.rest()


def _settle(future: "Future[Any]", work: Callable[[], Any]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001  the caller gets it from the future
        with contextlib.suppress(RuntimeError):  # its event loop has ended
            future.set_exception(error)
    else:
        with contextlib.suppress(RuntimeError):
            future.set_result(result)
