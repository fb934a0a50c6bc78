"""execute_region, for many region runs at once: claim (C1), call the providers (no transaction), record, finish (C2).

One event loop per worker process. The thread that takes messages claims; the loop does all else, and lets three kinds
of threads talk to the database: "writes", "leases" and "tries".
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from runner_core import telemetry
from runner_core.db import Database
from runner_core.keys import PrivateKey
from runner_core.regions import Catalogue
from runner_core.settings import Settings
from runner_worker.engine.asking import never_sent, timed_out
from runner_worker.engine.calls import Calls
from runner_worker.engine.capacity import Capacity
from runner_worker.engine.claimer import Claimer
from runner_worker.engine.discarded import discard
from runner_worker.engine.lease_keeper import LeaseKeeper
from runner_worker.engine.look_on import look_on
from runner_worker.engine.record import Scribe
from runner_worker.engine.recorder import Recorder
from runner_worker.engine.runs import Done, Message, Run
from runner_worker.engine.snapshot import EngineBroken, Snapshot
from runner_worker.engine.tries import FurtherTries
from runner_worker.engine.writer import Stopping, Writer
from runner_worker.providers import Providers

log = logging.getLogger("worker")
LATE_SECONDS = 0.25  # after a run's deadline: until then its calls have ended by themselves and say how
# After the grace of a stop: a supervisor waits two seconds beyond it, and what can't be stored has to be told.
HAND_BACK_SECONDS, END_SECONDS = 2.0, 1.0


class RegionRunner:
    """The region runs of one worker process. Its event loop runs in a thread of its own, "engine".

    `submit` claims and returns; `done(message, outcome)` is called in the engine's thread when a region run has ended
    here: finished, not_claimed, fenced, released or error. `free`, `busy`, `snapshot`, `drain` and `close` are for any
    thread, `submit` is for one.
    """

    def __init__(
        self,
        db: Database,
        settings: Settings,
        catalogue: Catalogue,
        providers: Providers,
        worker_name: str,
        receipt_key: PrivateKey | None = None,
    ) -> None:
        self.settings = settings
        self.providers = providers
        self.scribe = Scribe(catalogue, receipt_key)
        self.broken = False  # a part of this engine has ended by an error: it takes nothing any more
        self._stopped = threading.Event()
        self._recorder = Recorder(db, Writer(db, self.scribe, self._stopped))
        self._capacity = Capacity(
            settings.worker.concurrency, settings.worker.claim_batch, providers.is_open, self._recorder.keeps
        )
        self._claimer = Claimer(db, catalogue, worker_name, self._capacity)
        self._tries = FurtherTries(db, lambda call, number: self._recorder.unreached(never_sent(call, number)))
        self._calls = Calls(providers, catalogue, self._capacity, self._recorder, self._tries)
        self._leases = LeaseKeeper(db, lambda: list(self._runs.values()), self._recorder)
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds tasks weakly
        self._draining = self._closed = False
        self._idle, self._closing = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._failed)
        self._thread = threading.Thread(target=self._live, name="engine", daemon=True)
        self._thread.start()

    def free(self) -> int:
        """How many more region runs this process can take now, when each has one call."""
        return 0 if self._draining or self.broken else self._capacity.room()

    def busy(self) -> int:
        """How many region runs this process holds."""
        return self._capacity.runs()

    def snapshot(self) -> Snapshot:
        """What this engine has now."""
        return Snapshot(list(self._runs.values()), self._capacity.in_hand(), self._capacity.in_flight(), self.broken)

    def submit(self, messages: Sequence[Message], done: Done) -> None:
        """Claim the regions of `messages` in one transaction and start on those that are ours.

        Raises psycopg.Error or PoolTimeout when the database can't be reached; what was claimed until then runs.
        Raises EngineBroken when this engine can't go on.
        """
        if self.broken:
            raise EngineBroken
        began = time.monotonic()
        for runs in self._claimer.claim(messages, done):
            self._capacity.claimed(runs)
            self._loop.call_soon_threadsafe(self._begin, runs)
        self._capacity.claim_took(time.monotonic() - began)

    # -- the event loop --

    def _begin(self, runs: list[Run]) -> None:
        for run in runs:
            self._runs[run.token] = run
            if self._draining or self.broken:  # the claim was on its way when the signal came
                run.end("error" if self.broken else "released")
            task = self._loop.create_task(self._run(run))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._idle.clear()
        telemetry.RUNS_IN_FLIGHT.set(len(self._runs))

    async def _run(self, run: Run) -> None:
        """The life of a region run in this process, from its claim to its end."""
        telemetry.context.set(run.about["about"])
        try:
            if not run.outcome:
                await self._answer(run)
                await run.closed.wait()  # the recorder has written the last unit, and the database closed the region
        except asyncio.CancelledError:
            if not run.outcome:  # the engine closes, and the lease runs out
                raise
        except Exception:
            log.exception("a region run broke job_id=%s region=%s", run.job_id, run.region)
            telemetry.RUNNER_FAILURES.labels(run.region, "internal_error", "worker").inc()
            run.end("error")
        if run.outcome in ("released", "error"):
            run.begun = run.begun or run.outcome == "error"  # else what fails before its first call goes on for ever
            await self._recorder.release(run)
        elif run.outcome == "fenced":
            telemetry.FENCED.inc()
            log.warning("lease lost job_id=%s region=%s attempt=%d", run.job_id, run.region, run.attempt)
        self._drop(run)

    async def _answer(self, run: Run) -> None:
        """Make the calls of a run. At its deadline answers are kept, and the rest is a timeout."""
        self._recorder.begin(run)
        run.asking = asyncio.current_task()
        try:
            async with asyncio.timeout_at(run.deadline + LATE_SECONDS):
                await self._calls.make_all(run.plan)
        except TimeoutError:
            for call in run.unanswered():
                self._recorder.answered(timed_out(call))
        finally:
            run.asking = None

    def _drop(self, run: Run) -> None:
        if run.outcome not in ("released", "error"):  # their release has withdrawn these
            for call in run.unsent():
                self._recorder.unreached(never_sent(call))
        self._capacity.ended(run)
        del self._runs[run.token]
        telemetry.RUNS_IN_FLIGHT.set(len(self._runs))
        if not self._runs:
            self._idle.set()
        run.done(run.message, run.outcome)

    # -- endings --

    def drain(self, grace_seconds: float) -> None:
        """Stop: hand back at once what has not begun, let the rest finish within the grace, release what is left."""
        self._draining = True
        with suppress(RuntimeError, CancelledError):  # the loop has ended
            asyncio.run_coroutine_threadsafe(self._hand_back(grace_seconds), self._loop).result()
        self.close()

    async def _hand_back(self, grace_seconds: float) -> None:
        for run in [run for run in self._runs.values() if not run.begun]:
            run.end("released")
        self._recorder.hurry()
        for seconds in (grace_seconds, HAND_BACK_SECONDS):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            for run in list(self._runs.values()):
                run.end("released")

    def close(self) -> None:
        """End the loop and its threads; leases that are still held run out. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._stopped.set()
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._closing.set)
        if self._thread is not threading.current_thread():
            self._thread.join(3 * END_SECONDS)
        discard(self._recorder.unstored(), "stopped")

    def _live(self) -> None:
        """The thread "engine"."""
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        services = (self._recorder.keep_writing, self._leases.keep, lambda: look_on(self._capacity, self._recorder))
        writing, *_ = [asyncio.create_task(self._guard(service)) for service in services]
        await self._closing.wait()
        self._recorder.close()
        await asyncio.wait({writing}, timeout=END_SECONDS)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=END_SECONDS)
        self._leases.close()
        self._tries.close()
        self.providers.close()
        await asyncio.sleep(0)  # the transports say goodbye

    async def _guard(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do a part of the engine's work. If it breaks, everything is handed back, with what is left of that part."""
        for _ in range(2):
            try:
                await work()
            except Stopping:
                log.warning("stopped while answers could not be stored")
            except Exception:
                log.exception("a part of the worker's engine broke")
                self._break()
                continue
            return

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What the loop catches: an error of a callback of ours breaks the engine, one of a connection ends a call."""
        loop.default_exception_handler(context)
        if "handle" in context:
            self._break()

    def _break(self) -> None:
        telemetry.RUNNER_FAILURES.labels("", "internal_error", "worker").inc()
        self.broken = self._recorder.broken = True
        self._stopped.set()
        for run in list(self._runs.values()):
            run.end("error")
