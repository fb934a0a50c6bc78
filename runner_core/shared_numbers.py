"""The numbers of the metrics: each process's own, or in a memory that a server's processes share, to be added up.

prometheus_client shares them through files. A full disk killed the processes that wrote them (SIGBUS), a folder that
was cleaned away made every answer an error, a torn file every page of numbers, and the files of processes that had
ended stayed. The memory here has no file and no name: it is made before the first fork, and nobody else can reach it.
"""

import json
import mmap
import time
from array import array
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any
from weakref import WeakSet

# Of one process, at most; what goes beyond it is that process's own and not told. Only what is used takes memory.
SERIES = 16_384
NAMES_BYTES = 2 << 20
PAGE_BYTES = 8 + 8 * SERIES + NAMES_BYTES
READS = 100  # of a memory in which the numbers of an ended process are being moved


class Page:
    """The numbers of one process: how many there are, their values, their names one after the other.

    One process writes. Others read meanwhile, and a process may be killed at any moment: so a value is stored in one
    piece, and the count, which makes a new number visible, comes last.
    """

    def __init__(self, memory: memoryview) -> None:
        self._count = memory[:8].cast("Q")
        self.values = memory[8 : 8 + 8 * SERIES].cast("d")
        self._names = memory[8 + 8 * SERIES :]
        self._lock = Lock()
        self._places: dict[bytes, int] = {}
        self._end = 0

    def place(self, name: bytes) -> int | None:
        """Return where the number of this name is, which may be new; None when the page is full."""
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
        """Forget them all. Its process has ended."""
        self._count[0] = 0


class Number:
    """One value of a metric, as prometheus_client's own classes for it are (`values.ValueClass`)."""

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
        """Become `value`."""
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
        """Go on with `value` more: in `page`, or where there is none or no room in it, in this process's own memory."""
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
_page: Page | None = None  # where this process's numbers are, when they are shared


class SharedNumbers:
    """Pages for the process that makes this, and for up to `processes` forks of it at a time.

    The maker's page also keeps what its ended processes had counted. Raises OSError or ValueError where there is no
    such memory.
    """

    def __init__(self, processes: int) -> None:
        memory = memoryview(mmap.mmap(-1, 8 + PAGE_BYTES * (1 + processes)))
        self._folds = memory[:8].cast("Q")  # odd while the numbers of an ended process are moved
        begins = range(8, len(memory), PAGE_BYTES)
        self._own, *self._free = (Page(memory[begin : begin + PAGE_BYTES]) for begin in begins)
        self._pages = [self._own, *self._free]
        self._held: dict[int, Page] = {}
        _move_all(self._own, keep=True)

    def reserve(self, process: int) -> None:
        """In the maker, before it forks: `process` is a number of its choice, used once."""
        if self._free:
            self._held[process] = self._free.pop()

    def enter(self, process: int) -> None:
        """In the fork, before it has threads: count from zero, in the page that was reserved."""
        _move_all(self._held.get(process), keep=False)

    def fold(self, process: int) -> None:
        """In the maker, when the fork has ended: keep what it had counted, and have its page for the next one."""
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
        """Return each number by its name, added up over all processes that are and were.

        The name is JSON: the metric's, the sample's, the labels.
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
