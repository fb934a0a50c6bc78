"""Writes batches, and keeps what can't be written until it can be.

A paid answer is not thrown away because the server is full, read-only, busy or away for a while.
"""

import logging
import threading
import time

from runner_core.db import Database
from runner_core.errors import BeaconError
from runner_core.failures import failure_of
from runner_core.telemetry import RUNNER_FAILURES
from runner_worker.engine.discarded import discard, discard_refused
from runner_worker.engine.kept import Kept, take_out
from runner_worker.engine.record import Batch, Scribe, Written
from runner_worker.engine.runs import Answer

log = logging.getLogger("worker")
OUTAGE_SECONDS = 1.0
FULL_ROUNDS = 30  # of OUTAGE_SECONDS: then a full or failing server is asked about each run alone
EACH_SECONDS = 10.0


class Stopping(BeaconError):
    """The worker stops, and what is left can't be written."""


class Writer:
    """The writes of one worker process, one after the other.

    `write` runs in the thread "writes"; meanwhile the event loop calls nothing but `keeps` and `unstored`.
    """

    def __init__(self, db: Database, scribe: Scribe, stopped: threading.Event) -> None:
        self._db = db
        self._scribe = scribe
        self._stopped = stopped
        self._kept = Kept()
        self._open: dict[int, Answer] = {}  # the answers that are being written, by id()

    def due(self, batch: Batch) -> list[Batch]:
        """Return what is to be written now, part by part: of `batch` what nothing keeps back, and what was kept."""
        self._kept.join(batch)
        parts = [part for part in (batch, *self._kept.due()) if part.runs()]
        for part in parts:
            self._begin(part)
        return parts

    def keeps(self) -> int:
        """How many runs wait to be written again; each keeps a place."""
        return len(self._kept)

    def hurry(self) -> None:
        """Make everything due: the worker stops."""
        self._kept.hurry()

    def unstored(self) -> list[Answer]:
        """Return the answers that are not known to be stored."""
        return [*self._open.values(), *self._kept.answers()]

    def write(self, batch: Batch, rounds: int = FULL_ROUNDS) -> Written:
        """Write, for as long as the server can't, which is the same for every batch.

        What fails for another reason is written run by run: a lock or a limit may concern one of them alone, and so may
        a server that is full, or a disk that fails, for longer than `rounds`. A run that fails alone is kept for later,
        and leaves `batch`, or is given up when its rows are at fault. Raises Stopping.
        """
        self._begin(batch)
        while True:
            try:
                written = self._scribe.write(self._db, batch)
            except Exception as error:
                concerns, runs = failure_of(error).concerns, batch.runs()
                if concerns == "row":
                    log.exception("%d runs can't be written together", len(runs))
                    return self._write_each(batch) if len(runs) > 1 else self._refuse(batch)
                log.warning("%d runs wait to be written, their answers are kept: %s", len(runs), error)
                rounds -= not failure_of(error).leads_elsewhere
                if concerns == "statement" or rounds <= 0:
                    return self._write_each(batch, rounds=1) if len(runs) > 1 else self._keep(batch)
                if self._stopped.wait(OUTAGE_SECONDS):
                    raise Stopping from None
            else:
                self._close(batch)
                discard_refused(self._db, [a for a in batch.answers if a.call.run.token in written.fenced])
                return written

    def _write_each(self, batch: Batch, rounds: int = FULL_ROUNDS) -> Written:
        """Write run by run, for a while: what is left then is kept, so that others' answers and the stop are heard."""
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
            return self._refuse(batch)  # it would be tried for ever under a lease that never ends
        self._close(batch)
        self._kept.keep(batch)
        return Written.nothing()

    def _refuse(self, batch: Batch) -> Written:
        (run,) = batch.runs()
        log.error("run can't be written job_id=%s region=%s", run.job_id, run.region, extra=run.about)
        RUNNER_FAILURES.labels(run.region, "unwritable", "worker").inc()
        self._close(batch)
        discard(batch.answers, "unwritable")
        written = Written.nothing()
        written.given_up.append(run)
        return written

    def _begin(self, batch: Batch) -> None:
        self._open |= {id(answer): answer for answer in batch.answers}

    def _close(self, batch: Batch) -> None:
        for answer in batch.answers:
            self._open.pop(id(answer), None)
