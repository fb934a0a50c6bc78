"""Keeps the values of metrics in memory that the API's processes share, so that one process can report their sums.

prometheus_client shares them through files instead. With files, a full disk killed the writing processes (SIGBUS), a
deleted folder turned every answer into an error, a damaged file broke /metrics, and files of ended processes stayed.
This memory has no file: it is an anonymous mapping, made before the first fork.
"""

import json
import mmap
import time
from array import array
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any
from weakref import WeakSet

# The most values of one process. Further values stay in the process and are not reported. Unused slots take no memory.
SERIES = 16_384
NAMES_BYTES = 2 << 20
PAGE_BYTES = 8 + 8 * SERIES + NAMES_BYTES
READS = 100  # the most tries to read while the values of an ended process are being moved


class Page:
    """The values of one process in shared memory: their count, the values, and their names.

    One process writes while others read, and a process may be killed at any moment. So each value is written in one
    store, and the count, which makes a new value visible, is written last.
    """

    def __init__(self, memory: memoryview) -> None:
        self._count = memory[:8].cast("Q")
        self.values = memory[8 : 8 + 8 * SERIES].cast("d")
        self._names = memory[8 + 8 * SERIES :]
        self._lock = Lock()
        self._places: dict[bytes, int] = {}
        self._end = 0

    def place(self, name: bytes) -> int | None:
        """Return the index of the value with this name, adding it if it is new; None if the page is full."""
        with self._lock:
            if name in self._places:
                return self._places[name]
            number, end = len(self._places), self._end + 4 + len(name)
            if number == SERIES or end > NAMES_BYTES:
                return None
            self._names[self._end : end] = len(name).to_bytes(4, "little") + name
            self.values[number] = 0.0
            self._count[0] = number + 1
            self._places[name], self._end = number, end
            return number

    def read(self) -> Iterator[tuple[bytes, float]]:
        """Yield each name and its value."""
        at = 0
        for number in range(self._count[0]):
            begin = at + 4
            at = begin + int.from_bytes(self._names[at:begin], "little")
            yield bytes(self._names[begin:at]), self.values[number]

    def clear(self) -> None:
        """Remove all values; the page's process has ended."""
        self._count[0] = 0


class Number:
    """One value of a metric, with the interface of prometheus_client's value classes (`values.ValueClass`)."""

    __slots__ = ("__weakref__", "_lock", "_name", "_place", "_values")
    _multiprocess = False

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        **_: Any,
    ) -> None:
        self._name = (metric_name, name, labelnames, labelvalues)
        self.move(_page, 0.0)
        _numbers.add(self)

    def inc(self, amount: float) -> None:
        """Add `amount`."""
        with self._lock:
            self._values[self._place] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set the value."""
        with self._lock:
            self._values[self._place] = value

    def get(self) -> float:
        """Return the value in this process."""
        return self._values[self._place]

    def set_exemplar(self, exemplar: Any) -> None:
        """Exemplars are not kept."""

    def get_exemplar(self) -> None:
        """Exemplars are not kept."""

    def move(self, page: Page | None, value: float) -> None:
        """Add `value` and keep the sum in `page`; without a page or room in it, in this process's own memory."""
        metric_name, name, labelnames, labelvalues = self._name
        place = None
        if page is not None:
            labels = dict(zip(labelnames, labelvalues, strict=True))
            place = page.place(json.dumps([metric_name, name, labels]).encode())
        self._lock = Lock()
        self._values: array[float] | memoryview[float]
        if page is None or place is None:
            self._values, self._place = array("d", [0.0]), 0
        else:
            self._values, self._place = page.values, place
        self._values[self._place] += value


_numbers: WeakSet[Number] = WeakSet()
_page: Page | None = None  # this process's page, if values are shared


class SharedNumbers:
    """Shared pages for a parent process, which makes this object, and for up to `processes` of its forks at a time.

    The parent's page also keeps the values of ended forks. Raises OSError or ValueError if the memory can't be made.
    """

    def __init__(self, processes: int) -> None:
        memory = memoryview(mmap.mmap(-1, 8 + PAGE_BYTES * (1 + processes)))
        self._folds = memory[:8].cast("Q")  # odd while the values of an ended fork are moved
        begins = range(8, len(memory), PAGE_BYTES)
        self._own, *self._free = (Page(memory[begin : begin + PAGE_BYTES]) for begin in begins)
        self._pages = [self._own, *self._free]
        self._held: dict[int, Page] = {}
        _move_all(self._own, keep=True)

    def reserve(self, process: int) -> None:
        """Reserve a page. Called in the parent before a fork; `process` is a number that the parent chooses."""
        if self._free:
            self._held[process] = self._free.pop()

    def enter(self, process: int) -> None:
        """Use the reserved page, from zero. Called in the fork, before it starts threads."""
        _move_all(self._held.get(process), keep=False)

    def fold(self, process: int) -> None:
        """Add an ended fork's values to the parent's page, and free its page. Called in the parent."""
        page = self._held.pop(process, None)
        if page is None:
            return
        self._folds[0] += 1
        for name, value in page.read():
            if (place := self._own.place(name)) is not None:
                self._own.values[place] += value
        page.clear()
        self._folds[0] += 1
        self._free.append(page)

    def sums(self) -> dict[bytes, float]:
        """Return the sum of each value over all processes, ended ones too, by name.

        The name is JSON: metric, sample, labels.
        """
        sums: dict[bytes, float] = {}
        for _ in range(READS):
            before = self._folds[0]
            sums.clear()
            for page in self._pages:
                for name, value in page.read():
                    sums[name] = sums.get(name, 0.0) + value
            if before % 2 == 0 and self._folds[0] == before:
                break
            time.sleep(0.001)
        return sums


def _move_all(page: Page | None, *, keep: bool) -> None:
    global _page
    _page = page
    for number in list(_numbers):
        number.move(page, number.get() if keep else 0.0)
