"""Group commit (DeWitt et al., 1984): what arrives while a transaction is committing shares the next one.

There is no thread for it and nothing is waited for. Whoever finds nobody at work commits, for himself and for all that
wait; threads that are ready to run go first, and what they bring goes along. When he is done he passes the work on to
the first of those that have come meanwhile. Alone, an item goes straight through; under load the transactions grow by
themselves, and each item costs a fraction of one.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False)
class _Waiting(Generic[T, R]):
    item: T
    turn: threading.Event = field(default_factory=threading.Event)
    results: list[R] = field(default_factory=list)  # one, when another has committed it
    error: Exception | None = None
    leads: bool = False


class GroupCommit(Generic[T, R]):
    """Commits items by `commit`, which takes several and returns a result for each in their order, or raises.

    What makes a group fail is found by committing each of it alone; an error that `is_common` (a database that is away)
    would meet each of them and is everybody's at once, also theirs who have come meanwhile. A group has at most `most`
    bytes, as `size` counts them, or one item.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[T]], Sequence[R]],
        *,
        is_common: Callable[[BaseException], bool],
        size: Callable[[T], int],
        most: int,
    ) -> None:
        self._commit = commit
        self._is_common = is_common
        self._size = size
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._busy = False

    def put(self, item: T) -> R:
        """Commit `item`, alone or with others, and return its result. Raises what its commit raises."""
        mine: _Waiting[T, R] = _Waiting(item)
        with self._lock:
            self._waiting.append(mine)
            if not self._busy:
                self._busy = mine.leads = True
        if not mine.leads:
            mine.turn.wait()
        if mine.leads:
            self._lead()
        if mine.error:
            raise mine.error
        return mine.results[0] if mine.results else self._commit([item])[0]

    def _lead(self) -> None:
        """Commit for all that wait now, or are about to."""
        size = -1
        while size < (size := len(self._waiting)):
            time.sleep(0)
        group = self._take()
        try:
            for one, result in zip(group, self._commit([one.item for one in group]), strict=True):
                one.results.append(result)
        except Exception as error:  # noqa: BLE001  it is raised by whom it concerns
            if common := self._is_common(error):  # to those too that have come since: they would wait as long again
                group += self._take(everything=True)
            if common or len(group) == 1:
                for one in group:
                    one.error = error
        finally:
            self._pass_on(group)
            del group  # an error's traceback would keep it, and with it every item

    def _pass_on(self, group: list[_Waiting[T, R]]) -> None:
        """Wake the group, and let the first of those that have come since lead the next."""
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._busy = following is not None
        for one in group[1:]:
            one.turn.set()
        if following:
            following.leads = True
            following.turn.set()

    def _take(self, *, everything: bool = False) -> list[_Waiting[T, R]]:
        group: list[_Waiting[T, R]] = []
        size = 0
        with self._lock:
            while self._waiting and (everything or not group or size + self._size(self._waiting[0].item) <= self._most):
                size += self._size(self._waiting[0].item)
                group.append(self._waiting.popleft())
        return group
