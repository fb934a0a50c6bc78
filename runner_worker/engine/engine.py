"""Carries out many region runs at once: claim (transaction C1), call the providers (no transaction), record (C2).

A worker process has one event loop. The thread that takes messages claims region runs; the loop does everything else.
The statements of the loop run in the threads "writes", "leases" and "tries".
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import Any

from runner_core import telemetry
from runner_core.db import Database
from runner_core.keys import PrivateKey
from runner_core.loop_health import Loop
from runner_core.regions import Catalogue
from runner_core.settings import Settings
from runner_worker.engine.asking import never_sent, timed_out
from runner_worker.engine.calls import Calls
from runner_worker.engine.capacity import Capacity
from runner_worker.engine.claimer import Claimer
from runner_worker.engine.discarded import discard
from runner_worker.engine.held_runs import HeldRuns
from runner_worker.engine.lease_keeper import LeaseKeeper
from runner_worker.engine.look_on import look_on
from runner_worker.engine.provider_states import ProviderStates
from runner_worker.engine.record import RowWriter
from runner_worker.engine.recorder import Recorder
from runner_worker.engine.runs import Done, Message, Run
from runner_worker.engine.snapshot import EngineBroken, Snapshot
from runner_worker.engine.tries import FurtherTries
from runner_worker.engine.writer import Stopping, Writer
from runner_worker.providers import Providers

log = logging.getLogger("worker")
LATE_SECONDS = 0.25  # time after a run's deadline in which its calls end by themselves, each with its own error
# Time after the grace of a stop. A supervisor waits only two seconds beyond the grace, and lost answers must be logged.
HAND_BACK_SECONDS, END_SECONDS = 2.0, 1.0


class RegionRunner:
    """Carries out the region runs of one worker process. Its event loop runs in a thread of its own, "engine".

    `submit` claims and returns. `done(message, outcome)` is called in the engine's thread when a region run has ended
    in this process; the outcome is finished, not_claimed, fenced, released or error. `changed` is called there when a
    breaker has opened or closed. `add_loop` gives each part the loop that it turns. One thread may call `submit`; any
    thread may call `free`, `busy`, `snapshot`, `drain` and `close`, and read `provider_states.newest`.
    """

    def __init__(
        self,
        db: Database,
        settings: Settings,
        catalogue: Catalogue,
        providers: Providers,
        worker_name: str,
        receipt_key: PrivateKey | None = None,
        *,
        changed: Callable[[], None] = lambda: None,
        add_loop: Callable[[str], Loop] = Loop,
    ) -> None:
        self.row_writer = RowWriter(catalogue, receipt_key)
        self.broken = False  # a part of this engine has ended with an error: the engine takes no more messages
        self._runs = HeldRuns()
        self._stopped = threading.Event()
        self._turned, writing = add_loop("engine").turned, add_loop("writes")
        self._recorder = Recorder(db, Writer(db, self.row_writer, self._stopped, writing.progressed), writing)
        self._capacity = Capacity(
            settings.worker.concurrency, settings.worker.claim_batch, providers.is_open, self._recorder.keeps
        )
        regions = {provider.id: provider.region for provider in catalogue.providers}
        self.provider_states = ProviderStates(regions, providers, self._capacity, changed)
        self._claimer = Claimer(db, catalogue, worker_name, self._capacity)
        self._tries = FurtherTries(db, lambda call, number: self._recorder.unreached(never_sent(call, number)))
        self._calls = Calls(providers, catalogue, self._capacity, self._recorder, self._tries)
        self._leases = LeaseKeeper(db, self._runs.all, self._recorder, add_loop("leases"))
        self._draining, self._closed, self._closing = False, False, asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._failed)
        self._thread = threading.Thread(target=self._live, name="engine", daemon=True)
        self._thread.start()

    def free(self) -> int:
        """Return how many more region runs this process can take now, if each has one call; 0 while `is_late`."""
        return 0 if self._draining or self.broken or self.is_late() else self._capacity.room()

    def is_late(self) -> bool:
        """Return whether the database does not take this process's answers: they are delivered before new work."""
        return self._recorder.is_late()

    def busy(self) -> int:
        """Return how many region runs this process holds."""
        return self._capacity.runs()

    def snapshot(self) -> Snapshot:
        """Return the engine's current runs and counts."""
        return Snapshot(self._runs.all(), self._capacity.in_hand(), self._capacity.in_flight(), self.broken)

    def submit(self, messages: Sequence[Message], done: Done, progressed: Callable[[], None] = lambda: None) -> None:
        """Claim the region runs of `messages`, and start the claimed runs. Call `progressed` after each transaction.

        Raises psycopg.Error or PoolTimeout when the database can't be reached; runs claimed before that go on.
        Raises EngineBroken when this engine takes no more messages.
        """
        if self.broken:
            raise EngineBroken
        began = time.monotonic()
        for runs in self._claimer.claim(messages, done, progressed):
            self._capacity.claimed(runs)
            self._loop.call_soon_threadsafe(self._begin, runs)
        self._capacity.claim_took(time.monotonic() - began)

    # -- the event loop --

    def _begin(self, runs: list[Run]) -> None:
        for run in runs:
            if self._draining or self.broken:  # the stop began while the claim was under way
                run.end("error" if self.broken else "released")
            self._runs.add(run, self._loop.create_task(self._run(run)))

    async def _run(self, run: Run) -> None:
        """Carry out one region run, from its claim to its end in this process."""
        telemetry.context.set(run.origin.about["about"])
        try:
            if not run.outcome:
                await self._answer(run)
                await run.closed.wait()  # until the last unit is committed and the region is closed
        except asyncio.CancelledError:
            if not run.outcome:  # the engine closes; the lease of the run expires
                raise
        except Exception:
            log.exception("unexpected error in a region run job_id=%s region=%s", run.job_id, run.region)
            telemetry.RUNNER_FAILURES.labels(run.region, "internal_error", "worker").inc()
            run.end("error")
        if run.outcome in ("released", "error"):
            # A release of a run that has not begun gives its attempt back. After an error the attempt must count: a run
            # that fails before its first call would otherwise be repeated for ever.
            run.begun = run.begun or run.outcome == "error"
            await self._recorder.release(run)
        elif run.outcome == "fenced":
            telemetry.FENCED.inc()
            log.warning("lease lost job_id=%s region=%s attempt=%d", run.job_id, run.region, run.attempt)
        self._drop(run)

    async def _answer(self, run: Run) -> None:
        """Make the calls of a run. A call without an answer at the run's deadline fails with `timeout`."""
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
        if run.outcome not in ("released", "error"):  # the release of a run has removed these rows
            for call in run.unsent():
                self._recorder.unreached(never_sent(call))
        self._capacity.ended(run)
        self._runs.remove(run)
        run.done(run.outcome)

    # -- endings --

    def drain(self, grace_seconds: float) -> None:
        """Stop: release the runs that have not begun, let the others finish within the grace, release the rest."""
        self._draining = True
        with suppress(RuntimeError, CancelledError):  # the loop has ended
            asyncio.run_coroutine_threadsafe(self._hand_back(grace_seconds), self._loop).result()
        self.close()

    async def _hand_back(self, grace_seconds: float) -> None:
        for run in [run for run in self._runs.all() if not run.begun]:
            run.end("released")
        self._recorder.hurry()
        for seconds in (grace_seconds, HAND_BACK_SECONDS):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._runs.none.wait()
            for run in self._runs.all():
                run.end("released")

    def close(self) -> None:
        """End the event loop and its threads. Leases that are still held expire. A second call does nothing."""
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
        """Run the event loop: the body of the thread "engine"."""
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        looking = partial(look_on, self._capacity, self._recorder, self.provider_states, self._turned)
        services = (self._recorder.keep_writing, self._leases.keep, looking)
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
        self._calls.close()
        await asyncio.sleep(0)  # let the closed transports run their callbacks

    async def _guard(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a part of the engine. After an error all runs are released, and the part is run once more for that."""
        for _ in range(2):
            try:
                await work()
            except Stopping:
                log.warning("stopped while answers could not be stored")
            except Exception:
                log.exception("unexpected error in a part of the worker's engine, all its runs are released")
                self._break()
                continue
            return

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an error that asyncio caught. One of our own breaks the engine; one of a connection ends its call."""
        loop.default_exception_handler(context)
        if "handle" in context:
            self._break()

    def _break(self) -> None:
        telemetry.RUNNER_FAILURES.labels("", "internal_error", "worker").inc()
        self.broken = self._recorder.broken = True
        self._stopped.set()
        for run in self._runs.all():
            run.end("error")
