"""Writes batches, and keeps a batch that can't be written until the database takes it.

No paid answer is lost because the server is full, read-only, overloaded or unreachable for a while.
"""

import logging
import threading
import time
from collections.abc import Callable

from runner_core.db import Database
from runner_core.errors import BeaconError
from runner_core.failures import failure_of
from runner_core.telemetry import RUNNER_FAILURES
from runner_worker.engine.discarded import discard, discard_refused
from runner_worker.engine.kept import Kept, take_out
from runner_worker.engine.record import Batch, RowWriter, Written
from runner_worker.engine.runs import Answer

log = logging.getLogger("worker")
OUTAGE_SECONDS = 1.0
FULL_ROUNDS = 30  # tries, OUTAGE_SECONDS apart, before each run is written alone to a full or failing server
EACH_SECONDS = 10.0  # time for writing run by run; the rest is kept, so that other batches are not blocked


class Stopping(BeaconError):
    """The worker stops while answers can't be written."""


class Writer:
    """Writes the batches of one worker process, one after the other.

    `write` runs in the thread "writes". While `write` runs, the event loop calls only `keeps` and `unstored`.
    Any thread may read `waits`. `progressed` is called before each try, because a batch is tried until it is stored.
    """

    def __init__(
        self, db: Database, row_writer: RowWriter, stopped: threading.Event, progressed: Callable[[], None]
    ) -> None:
        self._db = db
        self._row_writer = row_writer
        self._stopped = stopped
        self._progressed = progressed
        self.waits = False  # a write has failed, and is tried again when the server may be able to write
        self._kept = Kept()
        self._open: dict[int, Answer] = {}  # the answers that are being written, by id()

    def due(self, batch: Batch) -> list[Batch]:
        """Return the batches to write now: `batch` without the kept runs, and the kept batches that are due."""
        self._kept.join(batch)
        parts = [part for part in (batch, *self._kept.due()) if part.runs()]
        for part in parts:
            self._begin(part)
        return parts

    def keeps(self) -> int:
        """Return how many runs wait to be written again. Each of them counts as a call in hand."""
        return len(self._kept)

    def hurry(self) -> None:
        """Make every kept batch due now, because the worker stops."""
        self._kept.hurry()

    def unstored(self) -> list[Answer]:
        """Return the answers that are not known to be stored."""
        return [*self._open.values(), *self._kept.answers()]

    def write(self, batch: Batch, rounds: int = FULL_ROUNDS) -> Written:
        """Write `batch`, and try again while the server as a whole can't write.

        If a statement fails for another reason, or the server stays full for more than `rounds` tries, each run is
        written alone, because a lock, a limit or a bad disk block may concern one run only. A run that fails alone is
        kept for later and leaves `batch`; a run whose own rows are refused is given up. Raises Stopping.
        """
        self._begin(batch)
        while True:
            self._progressed()
            try:
                written = self._row_writer.write(self._db, batch)
            except Exception as error:
                concerns, runs = failure_of(error).concerns, batch.runs()
                if concerns == "row":
                    log.exception("%d runs can't be written together", len(runs))
                    return self._write_each(batch) if len(runs) > 1 else self._refuse(batch)
                log.warning("%d runs wait to be written, their answers are kept: %s", len(runs), error)
                rounds -= not failure_of(error).leads_elsewhere
                if concerns == "statement" or rounds <= 0:
                    return self._write_each(batch, rounds=1) if len(runs) > 1 else self._keep(batch)
                self.waits = True
                if self._stopped.wait(OUTAGE_SECONDS):
                    raise Stopping from None
            else:
                self._close(batch)
                discard_refused(self._db, [a for a in batch.answers if a.call.run.token in written.fenced])
                return written

    def _write_each(self, batch: Batch, rounds: int = FULL_ROUNDS) -> Written:
        """Write run by run for EACH_SECONDS, and keep the runs that are left, so that other batches are not blocked."""
        written, until = Written.nothing(), time.monotonic() + EACH_SECONDS
        for run in batch.runs():
            if time.monotonic() < until:
                written.add(self.write(batch.of(run), rounds))
            else:
                self._keep(batch.of(run))
            if run in self._kept:
                take_out(batch, run)
        return written

    def _keep(self, batch: Batch) -> Written:
        (run,) = batch.runs()
        if time.monotonic() > run.deadline + self._db.settings.jobs.lease_seconds:
            return self._refuse(batch)  # else the run would be retried for ever, because its lease is still extended
        self._close(batch)
        self._kept.keep(batch)
        return Written.nothing()

    def _refuse(self, batch: Batch) -> Written:
        (run,) = batch.runs()
        log.error("run can't be written job_id=%s region=%s", run.job_id, run.region, extra=run.origin.about)
        RUNNER_FAILURES.labels(run.region, "unwritable", "worker").inc()
        self._close(batch)
        discard(batch.answers, "unwritable")
        written = Written.nothing()
        written.given_up.append(run)
        return written

    def _begin(self, batch: Batch) -> None:
        self._open |= {id(answer): answer for answer in batch.answers}

    def _close(self, batch: Batch) -> None:
        self.waits = False
        for answer in batch.answers:
            self._open.pop(id(answer), None)
