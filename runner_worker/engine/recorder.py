"""Collects answers and writes them in batches: one transaction writes all that arrived during the previous one.

Under load the batches grow by themselves. Without load a region run is written at once.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from runner_core import telemetry
from runner_core.db import Database
from runner_core.loop_health import Loop
from runner_worker.engine.asking import never_sent
from runner_worker.engine.discarded import discard
from runner_worker.engine.leases import hand_back
from runner_worker.engine.record import Batch, Written
from runner_worker.engine.runs import Answer, Call, Run, Unit, key_of
from runner_worker.engine.writer import Writer
from runner_worker.threads import DaemonThreads

log = logging.getLogger("worker")
LATE_SECONDS = 1.0  # a transaction takes milliseconds; one into a cut network takes until the watchdog ends it
P = ParamSpec("P")
T = TypeVar("T")


class Recorder:
    """Collects the next batch and the runs to release. Owned by the engine's event loop.

    The transactions run in the thread "writes", one after the other; each batch is a turn of `loop`.
    """

    def __init__(self, db: Database, writer: Writer, loop: Loop) -> None:
        self.broken = False  # after an error of the engine: no more answers are written, but runs are released
        self._db = db
        self._writer = writer
        self._threads = DaemonThreads("writes", loop=loop)
        self._batch = Batch()
        self._releases: list[tuple[Run, asyncio.Future[None]]] = []
        self._filled = asyncio.Event()
        self._closing = self._in_a_hurry = False
        self._writing: set[Run] = set()  # the runs of the transaction that is under way
        self._writing_since: float | None = None  # in time.monotonic() seconds

    async def start(self, call: Call) -> bool:
        """Commit the row of a call before the call is made. Return whether the call may be made."""
        call.starting = asyncio.get_running_loop().create_future()
        self._batch.starts.append(call)
        self._filled.set()
        return await call.starting

    def answered(self, answer: Answer) -> None:
        """Add an answer to the batch, and its unit when that is complete now."""
        self.unreached(answer)
        unit, run = answer.call.unit, answer.call.run
        if run.outcome:
            if answer.status == "ok":  # the answer was paid for: it is stored even if another worker has the region now
                self._batch.answers.append(answer)
                self._filled.set()
        elif unit.take(answer):
            self._batch.answers.append(answer)
            self.look_at(unit)
        elif answer.status == "ok":  # the answer came after the deadline, and its unit is already complete
            discard([answer], "region_closed")

    def unreached(self, answer: Answer) -> None:
        """Add the tries of a call that did not reach the provider to the batch: their rows are deleted."""
        if answer.unreached:
            self._batch.unreached.append(answer)
            self._filled.set()

    def begin(self, run: Run) -> None:
        """Add what is complete before the first call: units that earlier attempts answered, or a run without units."""
        for unit in run.units.values():
            self.look_at(unit)
        if not run.units:
            self._batch.closing.append(run)
            self._filled.set()

    def look_at(self, unit: Unit) -> None:
        """Add a unit to the batch if no answer of it is missing."""
        if not unit.open and not unit.complete:
            unit.complete = True
            self._batch.units.append(unit)
        self._filled.set()

    async def release(self, run: Run) -> None:
        """Release a run; runs that are released at the same time share a transaction."""
        released = asyncio.get_running_loop().create_future()
        self._releases.append((run, released))
        self._filled.set()
        await released

    def is_writing(self, run: Run) -> bool:
        """Return whether the transaction that is under way concerns this run."""
        return run in self._writing

    def is_late(self) -> bool:
        """Return whether answers wait for a database that does not take them. Any thread may call this.

        The worker then takes no messages. After a cut one of the messages may ask for a region whose answers the worker
        still holds, and its calls would be made again before these answers are stored.
        """
        since = self._writing_since
        return self._writer.waits or (since is not None and time.monotonic() - since > LATE_SECONDS)

    def keeps(self) -> int:
        """Return how many runs wait to be written again. Any thread may call this."""
        return self._writer.keeps()

    def look(self) -> None:
        """Wake `keep_writing` if a batch is kept: the batch may be due."""
        if self._writer.keeps():
            self._filled.set()

    def hurry(self) -> None:
        """Make every kept batch due now, because the worker stops."""
        self._in_a_hurry = True
        self._filled.set()

    def close(self) -> None:
        """End `keep_writing` after the transaction under way and one more for the current batch."""
        self._closing = True
        self._filled.set()

    def unstored(self) -> list[Answer]:
        """Return the answers that are not known to be stored."""
        return [*self._writer.unstored(), *self._batch.answers]

    async def keep_writing(self) -> None:
        """Write batch after batch until `close`. Raises Stopping if the engine stops while nothing can be written."""
        try:
            while not self._closing:
                await self._filled.wait()
                await asyncio.sleep(0)  # tasks that are ready to run may have something to add
                self._filled.clear()
                if self._releases:
                    await self._hand_back()
                if not self.broken:
                    await self._write()
        finally:
            if self._closing:
                self._threads.shutdown()

    async def _write(self) -> None:
        batch, self._batch = self._batch, Batch()
        if self._in_a_hurry:
            self._writer.hurry()
        for part in self._writer.due(batch):
            part.starts[:] = [c for c in part.starts if not (c.starting and c.starting.cancelled())]
            # A kept part has waited for a row that somebody locked, and may wait again: the server is well.
            self._writing, self._writing_since = set(part.runs()), time.monotonic() if part is batch else None
            written = await self._in_thread(self._writer.write, part)
            self._writing, self._writing_since = set(), None
            self._settle(part, written)

    async def _hand_back(self) -> None:
        releases, self._releases = self._releases, []
        self._writing_since = time.monotonic()
        await self._in_thread(hand_back, self._db, [run for run, _ in releases])
        self._writing_since = None
        for _, released in releases:
            if not released.done():
                released.set_result(None)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self._threads.submit(work, *args, **kwargs))

    def _settle(self, batch: Batch, written: Written) -> None:
        """Apply the result of a transaction to its units, calls and runs."""
        for run in written.given_up:
            run.end("error")
        for unit in batch.units:
            unit.written = True
            if not unit.run.outcome and unit.run.token not in written.fenced:  # the execution was stored
                _observe(unit)
        for call in batch.starts:
            self._settle_start(call, allowed=key_of(call) in written.started)
        finished = {(r["job_id"], r["region"]) for r in written.endings.regions}
        for run in batch.runs():
            if (run.job_id, run.region) in finished or run.token in written.kept:
                run.end("finished")
            elif run.token in written.fenced:
                run.end("fenced")
            elif all(unit.written for unit in run.units.values()):
                # A unit was not stored: the region's previous worker has stored an answer of it.
                run.end("released")

    def _settle_start(self, call: Call, *, allowed: bool) -> None:
        call.started = allowed
        if call.starting is None or not call.starting.done():
            if call.starting:
                call.starting.set_result(allowed)
        elif allowed and call.run.outcome not in ("released", "error"):  # else the release deletes the call's try
            self.unreached(never_sent(call))


def _observe(unit: Unit) -> None:
    status = "completed" if unit.outputs else "failed"
    seconds = max(0.0, unit.ended_at - unit.run.clock.claimed_at)
    telemetry.series(telemetry.EXECUTION_DURATION, unit.run.region, status).observe(seconds)
    if not unit.outputs:
        telemetry.RUNNER_FAILURES.labels(unit.run.region, unit.errors[-1]["code"], "provider").inc()
