"""Keeps the batches that could not be written for a later try: a lock or a limit must not lose a paid answer."""

import time
from dataclasses import dataclass, fields

from runner_worker.engine.record import Batch
from runner_worker.engine.runs import Answer, Run

FEW = 4  # each batch may wait for the statement timeout, and nothing else is written during that wait
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0


@dataclass
class _Waiting:
    batch: Batch
    pause: float
    next_try: float


class Kept:
    """The batches that could not be written, one per run. Only the thread "writes" changes this object."""

    def __init__(self) -> None:
        self._waiting: dict[Run, _Waiting] = {}
        self._pauses: dict[Run, float] = {}  # the last pause of each batch that is being tried again

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, run: Run) -> bool:
        return run in self._waiting

    def keep(self, batch: Batch) -> None:
        """Keep the batch of one run, and empty `batch`. The kept batch is due after twice its last pause."""
        (run,) = batch.runs()
        pause = min(2 * self._pauses.pop(run, FIRST_PAUSE_SECONDS / 2), LONGEST_PAUSE_SECONDS)
        self._waiting[run] = _Waiting(take_out(batch, run), pause, time.monotonic() + pause)

    def join(self, batch: Batch) -> None:
        """Move the parts of kept runs out of `batch` and keep them too: the writes of a run must stay in order."""
        for run in batch.runs():
            if run in self._waiting:
                part = take_out(batch, run)
                for field in fields(Batch):
                    getattr(self._waiting[run].batch, field.name).extend(getattr(part, field.name))

    def due(self) -> list[Batch]:
        """Remove and return a few batches that are to be tried again now. The caller returns a failed one by `keep`."""
        now = time.monotonic()
        runs = [run for run, waiting in self._waiting.items() if waiting.next_try <= now][:FEW]
        self._pauses = {run: self._waiting[run].pause for run in runs}
        return [self._waiting.pop(run).batch for run in runs]

    def hurry(self) -> None:
        """Make every batch due now, because the worker stops."""
        for waiting in self._waiting.values():
            waiting.next_try = 0.0

    def answers(self) -> list[Answer]:
        """Return the answers of all kept batches."""
        return [answer for waiting in list(self._waiting.values()) for answer in waiting.batch.answers]


def take_out(batch: Batch, run: Run) -> Batch:
    """Remove the part of one run from `batch` and return that part."""
    part = batch.of(run)
    for field in fields(Batch):
        taken = {id(item) for item in getattr(part, field.name)}
        items = getattr(batch, field.name)
        items[:] = [item for item in items if id(item) not in taken]
    return part
