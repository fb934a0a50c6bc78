"""One row stops nobody else: a batch that fails is done again row by row, and a row that fails alone is set aside."""

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import psycopg

from runner_core.failures import failure_of, sqlstate
from runner_core.telemetry import ROWS_SET_ASIDE

log = logging.getLogger("publisher")
FIRST_PAUSE_SECONDS = 60.0  # a row that fails again rests twice as long
LONGEST_PAUSE_SECONDS = 600.0
ALONE_SECONDS = 10.0  # for the rows of one batch; the rest waits for the next pass
# What a row can do to a statement, or to the code that reads it.
FAULTS_OF_ROWS = (psycopg.Error, ArithmeticError, LookupError, TypeError, ValueError)

Row = TypeVar("Row", bound=Hashable)


@dataclass
class Batch(Generic[Row]):
    """What one transaction may take: up to `size` rows, none of `left_out`. It says in `taken` which it took."""

    size: int
    left_out: list[Row]
    taken: list[Row] = field(default_factory=list)


class Aside(Generic[Row]):
    """The rows that failed alone in one work, such as job ids, each left out for a while. Belongs to one thread."""

    def __init__(self, work: str) -> None:
        self.work = work
        self._rests: dict[Row, tuple[float, float]] = {}  # until when a row is left out, and for how long
        ROWS_SET_ASIDE.labels(work)  # 0 from the start, so that the first one is an increase

    def run(self, size: int, do: Callable[[Batch[Row]], int | None]) -> int | None:
        """Do a batch of up to `size` rows; when it fails by its rows, do each of them alone.

        `do` returns a number; the sum is returned, with 1 for each row that was set aside. None of `do`, for work that
        another process does, is returned at once. Raises what no row is to blame for.
        """
        batch = Batch(size, self._left_out())
        try:
            return do(batch)
        except FAULTS_OF_ROWS as error:
            if not batch.taken or not may_be_of_a_row(error):
                raise
            if len(batch.taken) == 1:
                self._set_aside(batch.taken[0], error)
                return 1
            what = (self.work, len(batch.taken), _first_line(error))
            log.warning("%s: a batch of %d failed, its rows are done one by one: %s", *what)
            return self._one_by_one(len(batch.taken), do, error)

    def _one_by_one(self, count: int, do: Callable[[Batch[Row]], int | None], reason: Exception) -> int | None:
        total, done, until = 0, list[Row](), time.monotonic() + ALONE_SECONDS
        for _ in range(count):
            if time.monotonic() > until:
                raise reason
            alone = Batch(1, self._left_out() + done)
            try:
                handled = do(alone)
            except FAULTS_OF_ROWS as error:
                if not alone.taken or not may_be_of_a_row(error):
                    raise
                self._set_aside(alone.taken[0], error)
                handled = 1
            if handled is None:
                return None
            if not alone.taken:  # others have them
                break
            total += handled
            done += alone.taken
        return total

    def _left_out(self) -> list[Row]:
        now = time.monotonic()
        self._rests = {row: rest for row, rest in self._rests.items() if now < rest[0] + LONGEST_PAUSE_SECONDS}
        return [row for row, (until, _) in self._rests.items() if now < until]

    def _set_aside(self, row: Row, error: Exception) -> None:
        _, before = self._rests.get(row, (0.0, FIRST_PAUSE_SECONDS / 2))
        seconds = min(2 * before, LONGEST_PAUSE_SECONDS)
        self._rests[row] = (time.monotonic() + seconds, seconds)
        ROWS_SET_ASIDE.labels(self.work).inc()
        what = (self.work, row, seconds, sqlstate(error), _first_line(error))
        log.error("set aside: %s leaves out %s for %.0f s, which fails by itself sqlstate=%s: %s", *what)


def may_be_of_a_row(error: Exception) -> bool:
    """Whether other rows may fare better now. Not when it is the server, the connection or the pool that failed."""
    return failure_of(error).concerns != "server"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
