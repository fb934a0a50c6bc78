"""What is to be written, and the task that writes it: one transaction for whatever came during the last one.

Under load batches grow by themselves; alone, a region run is written at once.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from runner_core import telemetry
from runner_core.db import Database
from runner_worker.engine.asking import never_sent
from runner_worker.engine.discarded import discard
from runner_worker.engine.leases import hand_back
from runner_worker.engine.record import Batch, Written
from runner_worker.engine.runs import Answer, Call, Run, Unit, key_of
from runner_worker.engine.writer import Writer
from runner_worker.threads import DaemonThreads

log = logging.getLogger("worker")
P = ParamSpec("P")
T = TypeVar("T")


class Recorder:
    """The batch that fills, and the runs to be handed back. Owned by the engine's event loop.

    The transactions run in the thread "writes", one after the other.
    """

    def __init__(self, db: Database, writer: Writer) -> None:
        self.broken = False  # nothing is written any more, but runs are handed back
        self._db = db
        self._writer = writer
        self._threads = DaemonThreads("writes")
        self._batch = Batch()
        self._releases: list[tuple[Run, asyncio.Future[None]]] = []
        self._filled = asyncio.Event()
        self._closing = self._in_a_hurry = False
        self._writing: set[Run] = set()  # the runs of the transaction that is under way

    async def start(self, call: Call) -> bool:
        """Put a call on record before it is made. False when it may not be made."""
        call.starting = asyncio.get_running_loop().create_future()
        self._batch.starts.append(call)
        self._filled.set()
        return await call.starting

    def answered(self, answer: Answer) -> None:
        """Take an answer, and the unit that is complete with it."""
        self.unreached(answer)
        unit, run = answer.call.unit, answer.call.run
        if run.outcome:
            if answer.status == "ok":  # paid for: kept while the region is open, whoever holds the region now
                self._batch.answers.append(answer)
                self._filled.set()
        elif unit.take(answer):
            self._batch.answers.append(answer)
            self.look_at(unit)
        elif answer.status == "ok":  # the deadline was faster, and the unit is recorded without it
            discard([answer], "region_closed")

    def unreached(self, answer: Answer) -> None:
        """Take the tries of a call that did not reach the provider."""
        if answer.unreached:
            self._batch.unreached.append(answer)
            self._filled.set()

    def begin(self, run: Run) -> None:
        """Take what is complete when a run begins: units that were answered in earlier attempts, or a run of none."""
        for unit in run.units.values():
            self.look_at(unit)
        if not run.units:
            self._batch.closing.append(run)
            self._filled.set()

    def look_at(self, unit: Unit) -> None:
        """Take a unit for recording when no answer is missing."""
        if not unit.open and not unit.complete:
            unit.complete = True
            self._batch.units.append(unit)
        self._filled.set()

    async def release(self, run: Run) -> None:
        """Hand a run back, together with all that are handed back at the same time."""
        released = asyncio.get_running_loop().create_future()
        self._releases.append((run, released))
        self._filled.set()
        await released

    def is_writing(self, run: Run) -> bool:
        """Whether the transaction that is under way concerns this run."""
        return run in self._writing

    def keeps(self) -> int:
        """How many runs wait to be written again. For any thread."""
        return self._writer.keeps()

    def look(self) -> None:
        """See whether something that is kept is due."""
        if self._writer.keeps():
            self._filled.set()

    def hurry(self) -> None:
        """Make everything that is kept due: the worker stops."""
        self._in_a_hurry = True
        self._filled.set()

    def close(self) -> None:
        """End `keep_writing` after what is under way, and what is to be written now."""
        self._closing = True
        self._filled.set()

    def unstored(self) -> list[Answer]:
        """Return the answers that are not known to be stored."""
        return [*self._writer.unstored(), *self._batch.answers]

    async def keep_writing(self) -> None:
        """Write, batch after batch, until `close`. Raises Stopping when that comes while nothing can be written."""
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
            self._writing = set(part.runs())
            written = await self._in_thread(self._writer.write, part)
            self._writing = set()
            self._settle(part, written)

    async def _hand_back(self) -> None:
        releases, self._releases = self._releases, []
        await self._in_thread(hand_back, self._db, [run for run, _ in releases])
        for _, released in releases:
            if not released.done():
                released.set_result(None)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self._threads.submit(work, *args, **kwargs))

    def _settle(self, batch: Batch, written: Written) -> None:
        """Act on what the database said."""
        for run in written.given_up:
            run.end("error")
        for unit in batch.units:
            unit.written = True
            if not unit.run.outcome and unit.run.token not in written.fenced:  # what was written
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
                # A unit was not recorded: a worker that held the region before us has stored an answer of it meanwhile.
                run.end("released")

    def _settle_start(self, call: Call, *, allowed: bool) -> None:
        call.started = allowed
        if call.starting is None or not call.starting.done():
            if call.starting:
                call.starting.set_result(allowed)
        elif allowed and call.run.outcome not in ("released", "error"):  # else its release withdraws it
            self.unreached(never_sent(call))


def _observe(unit: Unit) -> None:
    status = "completed" if unit.outputs else "failed"
    seconds = max(unit.ended_at, unit.run.claimed_at) - unit.run.claimed_at
    telemetry.series(telemetry.EXECUTION_DURATION, unit.run.region, status).observe(seconds)
    if not unit.outputs:
        telemetry.RUNNER_FAILURES.labels(unit.run.region, unit.errors[-1]["code"], "provider").inc()
