"""Keeps one bad row from blocking the others: a failed batch is repeated row by row, and a row that fails alone is left
out for a while (set aside)."""

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import psycopg

from runner_core.failures import failure_of
from runner_core.sqlstate import sqlstate
from runner_core.telemetry import ROWS_SET_ASIDE

log = logging.getLogger("publisher")
FIRST_PAUSE_SECONDS = 60.0  # doubled each time the row fails again
MAX_PAUSE_SECONDS = 600.0
ALONE_SECONDS = 10.0  # time for doing a batch row by row; the other rows wait for the next pass
MAX_SUSPECTS = 2  # if so many rows fail and none succeeds, the cause may be a lock on the table or a missing privilege
# The errors that a single row can cause, in its statement or in the code that reads it.
FAULTS_OF_ROWS = (psycopg.Error, ArithmeticError, LookupError, TypeError, ValueError)

Row = TypeVar("Row", bound=Hashable)


@dataclass
class Batch(Generic[Row]):
    """One transaction's limits: at most `size` rows, none of `left_out`. The transaction lists its rows in `taken`."""

    size: int
    left_out: list[Row]
    taken: list[Row] = field(default_factory=list)


class Aside(Generic[Row]):
    """The rows, by id, that are set aside in one kind of work. Owned by one thread.

    `progressed` is called before each row that is done alone, because a batch may have many.
    """

    def __init__(self, work: str, progressed: Callable[[], None] = lambda: None) -> None:
        self.work = work
        self._progressed = progressed
        self._rests: dict[Row, tuple[float, float]] = {}  # by row: the end of its pause, and the pause
        # Rows that failed alone while no other row succeeded. The row may not be at fault, so the next pass tries other
        # rows first.
        self._suspects: list[Row] = []
        ROWS_SET_ASIDE.labels(work)  # a series from 0 on, so that increase() counts the first row

    def run(self, size: int, do: Callable[[Batch[Row]], int | None]) -> int | None:
        """Call `do` for a batch of up to `size` rows; if a row may have made it fail, call `do` for each row alone.

        Return the sum of the numbers that `do` returns, plus 1 for each row that was set aside. If `do` returns None
        (another process does this work), return None. Raises errors that no single row can cause.
        """
        batch = Batch(size, self._left_out())
        try:
            handled = do(batch)
        except FAULTS_OF_ROWS as error:
            if not batch.taken or not may_be_of_a_row(error):
                raise
            if len(batch.taken) == 1 and (size > 1 or _is_of_the_row(error)):  # no other row to compare with
                self._set_aside(batch.taken[0], error)
                return 1
            what = (self.work, len(batch.taken), _first_line(error))
            log.warning("%s: a batch of %d failed, its rows are done one by one: %s", *what)
            return self._one_by_one(max(len(batch.taken), MAX_SUSPECTS), do, error)
        self._suspects.clear()
        return handled

    def _one_by_one(self, count: int, do: Callable[[Batch[Row]], int | None], reason: Exception) -> int | None:
        """Do `count` rows alone. Rows that fail by a lock or a limit are suspects until another row succeeds; then they
        are tried once more. With too many suspects raise `reason` and set none of them aside."""
        total, done, suspects, is_proven = 0, list[Row](), 0, False
        until = time.monotonic() + ALONE_SECONDS
        while len(done) < count:
            if suspects == MAX_SUSPECTS or time.monotonic() > until:
                raise reason
            self._progressed()
            alone = Batch(1, self._left_out() + done + self._suspects)
            try:
                handled = do(alone)
            except FAULTS_OF_ROWS as error:
                if not alone.taken or not may_be_of_a_row(error):
                    raise
                if not is_proven and not _is_of_the_row(error):
                    self._suspects += alone.taken
                    suspects, reason = suspects + 1, error
                    continue
                self._set_aside(alone.taken[0], error)
                handled = 1
            else:
                if handled is None:
                    return None
                if not alone.taken:  # other processes have locked them
                    return total + self._judge(reason)
                self._suspects.clear()
                suspects, is_proven = 0, True
            total += handled
            done += alone.taken
        return total

    def _judge(self, reason: Exception) -> int:
        """Set the suspect aside if it is the only one. With several suspects raise `reason`."""
        suspects, self._suspects = self._suspects, []
        if len(suspects) > 1:
            raise reason
        for row in suspects:
            self._set_aside(row, reason)
        return len(suspects)

    def _left_out(self) -> list[Row]:
        now = time.monotonic()
        self._rests = {row: rest for row, rest in self._rests.items() if now < rest[0] + MAX_PAUSE_SECONDS}
        return [row for row, (until, _) in self._rests.items() if now < until]

    def _set_aside(self, row: Row, error: Exception) -> None:
        _, before = self._rests.get(row, (0.0, FIRST_PAUSE_SECONDS / 2))
        seconds = min(2 * before, MAX_PAUSE_SECONDS)
        self._rests[row] = (time.monotonic() + seconds, seconds)
        ROWS_SET_ASIDE.labels(self.work).inc()
        what = (self.work, row, seconds, sqlstate(error), _first_line(error))
        log.error("set aside: %s leaves out row %s for %.0f s, because this row fails by itself sqlstate=%s: %s", *what)


def may_be_of_a_row(error: Exception) -> bool:
    """Return whether a row may have caused the error: not if the server, the connection or the pool failed."""
    return failure_of(error).concerns != "server"


def _is_of_the_row(error: Exception) -> bool:
    """Return whether the row alone caused the error. A lock or a limit may concern all rows of the table."""
    return failure_of(error).concerns == "row"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
