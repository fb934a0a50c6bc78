"""execute_region, for many regions at once: claim (C1), call the providers (no transaction), record and finish (C2).

Three kinds of threads: the caller's claims; a pool asks the providers; one thread owns the state, and writes whatever
has happened since it last wrote, in one transaction and without waiting for more. A fourth keeps the leases and the
deadlines. Under load batches grow by themselves; alone, a region is written at once.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

import psycopg
from psycopg_pool import PoolTimeout

from runner_core import telemetry
from runner_core.db import Database
from runner_core.errors import BeaconError
from runner_core.failpoints import failpoint
from runner_core.failures import failure_of
from runner_core.keys import PrivateKey
from runner_core.queries import Row
from runner_core.regions import Catalogue
from runner_core.settings import Settings
from runner_core.store.answers import Started
from runner_worker.engine.asking import DEADLINE, NO_PROVIDER, ask_of, error_of
from runner_worker.engine.callers import Callers
from runner_worker.engine.discarded import discard
from runner_worker.engine.events import Broken, Claimed, Event, Expired, HandBack, Look, Lost
from runner_worker.engine.held_back import HeldBack, Line, line_of
from runner_worker.engine.leases import beat, claim, release
from runner_worker.engine.pace import Pace
from runner_worker.engine.record import Batch, Scribe, Written, started
from runner_worker.engine.runs import Answer, Call, Done, Message, Run, Unit, key_of, log_as_of
from runner_worker.engine.tries import beginner
from runner_worker.engine.writer import Stopping, Writer
from runner_worker.providers import CallFailed, Providers

log = logging.getLogger("worker")
TICK_SECONDS = 0.5  # how late a deadline may be noticed
# After the grace of a stop: a supervisor waits two seconds beyond it, and what can't be stored has to be told.
HAND_BACK_SECONDS, END_SECONDS = 2.0, 1.0

__all__ = ["EngineBroken", "Message", "RegionRunner"]


class EngineBroken(BeaconError):
    """A thread of the worker has ended by an error; its process has to be started again."""


class RegionRunner:
    """The region runs of one worker process.

    `submit` claims and returns; `done(message, outcome)` is called from this engine's thread when a region run has
    ended here: finished, not_claimed, fenced, released or error.
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
        self.db = db
        self.settings = settings
        self.catalogue = catalogue
        self.providers = providers
        self.worker_name = worker_name
        self.scribe = Scribe(catalogue, receipt_key)
        self.broken = False  # one of this engine's threads has ended by an error: it does nothing any more
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._planned: Counter[str] = Counter()  # calls planned and not answered, by provider
        self._inbox: SimpleQueue[Event] = SimpleQueue()
        self._waiting: dict[str, deque[Call]] = {}
        self._pace = Pace(settings.worker.concurrency, settings.worker.claim_batch)
        self._in_flight: Counter[Line] = Counter()
        self._held_back = HeldBack(providers.is_open)
        self._draining = False
        self._refused_claims = 0  # in a row, and alone; of the thread that claims
        self._idle = threading.Condition(self._lock)
        self._stopped = threading.Event()
        self._closed = False
        self._writer = Writer(db, self.scribe, self._stopped, lambda run: self._release([run], "error"))
        # As many again for calls that wait for a breaker; threads are made when they are needed.
        self._callers = Callers(2 * settings.worker.concurrency, self._ask)
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for name, work in (("scribe", self._write_on), ("leases", self._keep_leases))
        ]
        for thread in self._threads:
            thread.start()

    def free(self) -> int:
        """How many more region runs this process can take now, when each has one call.

        Besides the callers that are idle, those that will be by the time that a claim has been made. They are claimed
        when half of the last ones are left, so that claims stay large while every caller has work.
        """
        callers, ahead = self.settings.worker.concurrency, self._pace.ahead()
        with self._lock:
            planned = max(0, self._planned.total() - self._stalled()) + self._writer.keeps()
            runs = len(self._runs)
        if self._draining or self.broken or planned > callers + ahead // 2:
            return 0
        return max(0, min(callers + ahead - planned, 6 * callers - runs))

    def busy(self) -> int:
        """How many region runs this process holds."""
        with self._lock:
            return len(self._runs)

    def submit(self, messages: Sequence[Message], done: Done) -> None:
        """Claim the regions of `messages` in one transaction and start on those that are ours.

        A claim that fails for the batch is made again one by one, so that what poisons it fails alone. Raises
        psycopg.Error or PoolTimeout when the database can't be reached; what was claimed until then runs.
        Raises EngineBroken when this engine can't go on.
        """
        if self.broken:
            raise EngineBroken
        by_region: dict[tuple[str, str], Message] = {}
        refused = []
        for message in messages:
            if by_region.setdefault((message.job_id, message.region), message) is not message:
                refused.append(message)
        began = time.monotonic()
        for runs in self._claim(list(by_region), by_region, done):
            with self._lock:
                for run in runs:
                    del by_region[run.job_id, run.region]
                    self._runs[run.token] = run
                    self._planned.update(_by_provider(run))
                telemetry.RUNS_IN_FLIGHT.set(len(self._runs))
            self._inbox.put(Claimed(runs))
        self._pace.claimed(time.monotonic() - began)
        for message in [*refused, *by_region.values()]:
            done(message, "not_claimed")

    def _claim(
        self,
        wanted: list[tuple[str, str]],
        messages: dict[tuple[str, str], Message],
        done: Done,
        *,
        start: bool = True,
    ) -> Iterator[list[Run]]:
        """The runs of each transaction that it took."""
        runs: list[Run] = []

        def plan(claimed: list[Row], stored: list[Row]) -> list[Started]:
            """The calls that there is room for; planned anew when the claim is repeated."""
            runs[:] = self._planned_runs(claimed, stored, messages, done)
            return [started(call) for call in self._choose(runs)]

        try:
            claimed, stored, begun = claim(self.db, wanted, self.worker_name, plan if start else None)
        except Exception as error:
            concerns = failure_of(error).concerns
            if concerns == "server":
                raise
            if len(wanted) == 1 and (concerns == "statement" or not start):
                if concerns == "statement" and self._refused_claims:
                    raise  # the second in a row: it is no fault of the regions
                self._refused_claims += 1
                # Not handed back to the queue, whose head it would block: the sweeper stages it again later.
                log.error("region can't be claimed job_id=%s region=%s: %s", *wanted[0], error)
                done(messages.pop(wanted[0]), "error")
                return
            log.error("claiming %d regions failed, claiming one by one: %s", len(wanted), error)
            for one in wanted:
                # Alone, a region is claimed before anything is made of it, so that its attempts are used up.
                yield from self._claim([one], messages, done, start=len(wanted) > 1)
            return
        self._refused_claims = 0
        failpoint("worker.claimed")
        if begun:
            failpoint("worker.started")
        if not start:
            runs = self._planned_runs(claimed, stored, messages, done)
        for row, run in zip(claimed, runs, strict=True):
            run.ready = [call for call in run.chosen if key_of(call) in begun]
            if row["attempt"] == 1:
                telemetry.series(telemetry.QUEUE_LATENCY, run.region).observe(max(0.0, row["waited_seconds"]))
        yield runs

    def _planned_runs(
        self, claimed: list[Row], stored: list[Row], messages: dict[tuple[str, str], Message], done: Done
    ) -> list[Run]:
        runs = [Run(row, messages[row["job_id"], row["region"]], done, self.catalogue) for row in claimed]
        for run in runs:
            run.resume([s for s in stored if (s["job_id"], s["region"]) == (run.job_id, run.region)])
        return runs

    def _choose(self, runs: list[Run]) -> list[Call]:
        """The calls of new runs that can be made at once: those may start with the claim, in its transaction.

        Only the thread that claims plans calls, so what is free now is still free when the runs arrive.
        """
        ahead = self._pace.ahead()
        with self._lock:
            planned = self._planned.copy()
        free = self.settings.worker.concurrency + ahead - planned.total() + self._stalled() - self._writer.keeps()
        for run in runs:
            run.chosen = []
            for call in run.calls():
                provider = call.unit.provider
                if provider is None or free <= 0 or planned[provider.id] >= provider.max_concurrency + ahead:
                    continue
                if self.providers.is_open(*line_of(call)):
                    continue
                planned[provider.id] += 1
                free -= 1
                run.chosen.append(call)
        return [call for run in runs for call in run.chosen]

    # -- the thread that owns the state --

    def _write_on(self) -> None:
        ending = False
        while not ending:
            events = self._next_events()
            batch = Batch()
            while events and not ending:
                match event := events.popleft():
                    case Claimed(runs) if self._draining:  # the claim was on its way when the signal came
                        self._release(runs, "released")
                    case Claimed(runs):
                        for run in runs:
                            self._begin(run, batch)
                    case Answer():
                        self._take(event, batch)
                    case Expired(run):
                        self._expire(run, batch)
                    case Look():
                        pass
                    case Lost(run):
                        self._fence(run)
                    case Broken(call):
                        self._returned(call)
                        self._release([call.run], "error")
                    case HandBack(everything):
                        self._release([r for r in self._held() if everything or not r.begun], "released")
                        self._writer.hurry()
                    case None:
                        ending = True
            for event in events:  # after the end: told of and not acted on, for a cancelled call is no failure
                self._inbox.put(event)
            if not ending:
                self._admit(batch)
            for part in self._writer.due(batch):
                self._settle(part, self._writer.write(part))

    def _next_events(self) -> deque[Event]:
        """Whatever has happened: also what threads that are ready to run are about to say. Nothing is waited for."""
        events = deque([self._inbox.get()])
        size = -1
        while size < (size := self._inbox.qsize()):
            time.sleep(0)
        try:
            while True:
                events.append(self._inbox.get_nowait())
        except Empty:
            return events

    def _begin(self, run: Run, batch: Batch) -> None:
        for call in run.ready:
            self._in_flight[line_of(call)] += 1
            self._call(call)
        begun = {key_of(call) for call in run.ready}
        for call in run.calls():
            if call.unit.provider is None:
                call.unit.add(call.question_id, call.run_no, None, error_of(call, "no_provider", NO_PROVIDER), None)
                self._answered(call)
            elif key_of(call) not in begun:
                self._waiting.setdefault(call.unit.provider.id, deque()).append(call)
        for unit in run.units.values():
            self._complete(unit, batch)
        if not run.units:
            batch.closing.append(run)

    def _take(self, answer: Answer, batch: Batch) -> None:
        call = answer.call
        self._returned(call)
        self._pace.called(answer.ended - call.begun)
        if answer.unreached:
            batch.unreached.append(answer)
        if not self._is_held(call.run):
            if answer.status == "ok":  # paid for: kept while the region is open, whoever holds it now
                batch.answers.append(answer)
            return
        if call.unit.take(answer):
            self._answered(call)
            batch.answers.append(answer)
            self._complete(call.unit, batch)
        elif answer.status == "ok":  # the deadline was faster, and the unit is about to be recorded without it
            discard([answer], "region_closed")

    def _expire(self, run: Run, batch: Batch) -> None:
        """At the deadline answers are kept and the rest is a timeout."""
        if not self._is_held(run):
            return
        run.cancelled.set()
        for call in run.calls():
            failure = CallFailed(error_of(call, "timeout", DEADLINE), DEADLINE, 0, [])
            call.begun = run.claimed_at
            call.unit.take(answer := Answer.failed(call, failure))
            self._answered(call)
            batch.answers.append(answer)
        for unit in run.units.values():
            self._complete(unit, batch)

    def _complete(self, unit: Unit, batch: Batch) -> None:
        if not unit.open and not unit.complete:
            unit.complete = True
            batch.units.append(unit)

    def _admit(self, batch: Batch) -> None:
        """Start waiting calls while their provider and this process have room."""
        for call in reversed(list(self._held_back.take(self._in_flight))):
            self._waiting[_provider_id(call.unit)].appendleft(call)
        total, ahead = sum(self._in_flight.values()) - self._at_breakers(), self._pace.ahead()
        for provider_id, waiting in self._waiting.items():
            busy = self._busy(provider_id) if waiting else 0
            while waiting and total < self.settings.worker.concurrency + ahead:
                call = waiting[0]
                if not self._is_held(call.run) or (call.question_id, call.run_no) not in call.unit.open:
                    waiting.popleft()
                    continue
                if self._held_back.must_wait(call, self._in_flight):
                    self._held_back.put(waiting.popleft())
                    continue
                provider = call.unit.provider
                if provider is None or busy >= provider.max_concurrency + ahead:
                    break
                if self._draining and not call.run.begun:
                    waiting.popleft()
                    continue
                batch.starts.append(waiting.popleft())
                self._in_flight[line_of(call)] += 1
                total += 1
                busy += 1

    def _busy(self, provider_id: str) -> int:
        """How many of a provider's places are used or about to be; a call that waits for a breaker uses none."""
        lines = [(line, calls) for line, calls in self._in_flight.items() if calls and line[0] == provider_id]
        return sum(calls for line, calls in lines if not self.providers.is_open(*line))

    def _at_breakers(self) -> int:
        """How many threads have a call of a model whose breaker is open."""
        lines = list(self._in_flight.items())  # also asked by the thread that claims
        return sum(calls for line, calls in lines if calls and self.providers.is_open(*line))

    def _stalled(self) -> int:
        """How many planned calls wait for a breaker, so that others may be claimed and made meanwhile."""
        return len(self._held_back) + self._at_breakers()

    def _settle(self, batch: Batch, written: Written) -> None:
        """Act on what the database said."""
        for unit in batch.units:
            if self._is_held(unit.run) and unit.run.token not in written.fenced:  # what was written
                _observe(unit)
        for call in batch.starts:
            if key_of(call) in written.started:
                self._call(call)
            else:
                self._returned(call)
                if call.run.token not in written.fenced and self._is_held(call.run):
                    # Somebody who held the region before us has stored this answer meanwhile.
                    self._release([call.run], "released")
        finished = {(r["job_id"], r["region"]) for r in written.endings.regions}
        for run in batch.runs():
            if (run.job_id, run.region) in finished or run.token in written.kept:
                self._drop(run, "finished")
            elif run.token in written.fenced:
                self._fence(run)
            elif all(unit.complete for unit in run.units.values()):
                # A unit was not recorded: a worker that held the region before us has stored an answer of it meanwhile.
                self._release([run], "released")

    # -- the threads that call --

    def _call(self, call: Call) -> None:
        call.run.begun = True
        self._callers.put(call)

    def _ask(self, call: Call) -> None:
        run, provider = call.run, call.unit.provider
        telemetry.context.set({"job_id": run.job_id, "request_id": run.request_id, "trace_id": run.trace_id})
        call.begun = call.begun or time.monotonic()
        try:
            if provider is None:
                raise LookupError("a call without a provider was started")
            ask = ask_of(call, provider, self.catalogue)
            begin = beginner(self.db, call, ask.deadline, run.cancelled)
            answer = Answer.of(call, self.providers.ask(provider, ask, run.cancelled, begin))
        except CallFailed as failure:
            answer = Answer.failed(call, failure)
        except Exception:
            log.exception("a call broke job_id=%s region=%s", run.job_id, run.region, extra=run.about)
            telemetry.RUNNER_FAILURES.labels(run.region, "internal_error", "worker").inc()
            self._inbox.put(Broken(call))
            return
        failpoint("worker.answered")
        self._inbox.put(answer)

    # -- the thread that keeps leases and deadlines --

    def _keep_leases(self) -> None:
        tick = min(TICK_SECONDS, self.settings.jobs.heartbeat_seconds)
        next_beat = time.monotonic() + self.settings.jobs.heartbeat_seconds
        while not self._stopped.wait(tick):
            now = time.monotonic()
            runs = self._held()
            for run in runs:
                if run.deadline <= now and not run.overdue:
                    run.overdue = True
                    self._inbox.put(Expired(run))
            if len(self._held_back) or self._writer.keeps():
                self._inbox.put(Look())
            if now >= next_beat and runs:
                next_beat = now + self.settings.jobs.heartbeat_seconds
                self._beat(runs)

    def _beat(self, runs: list[Run]) -> None:
        log_as_of(runs)
        try:
            lost = set(beat(self.db, [run.held for run in runs]))
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("heartbeat failed for %d runs: %s", len(runs), error)
            return
        for run in runs:
            if run.token in lost:
                self._inbox.put(Lost(run))

    # -- endings --

    def drain(self, grace_seconds: float) -> None:
        """Stop: hand back at once what has not begun, let the rest finish within the grace, release what is left."""
        self._draining = True
        self._inbox.put(HandBack(everything=False))
        with self._idle:
            self._idle.wait_for(lambda: not self._runs, grace_seconds)
        self._inbox.put(HandBack(everything=True))
        with self._idle:  # cancelled calls end within a second, and say whether they reached their provider
            self._idle.wait_for(lambda: not self._runs and not sum(list(self._in_flight.values())), HAND_BACK_SECONDS)
        self.close()

    def close(self) -> None:
        """End the threads; leases that are still held run out. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._stopped.set()
        self._inbox.put(None)
        for run in self._held():
            run.cancelled.set()
        for thread in self._threads:  # first: the one that writes may be about to hand a call to the callers
            if thread is not threading.current_thread():
                thread.join(END_SECONDS)
        self._callers.close()
        answers = self._writer.unstored()
        with suppress(Empty):
            while True:
                event = self._inbox.get_nowait()
                answers += [event] if isinstance(event, Answer) else []
        discard(answers, "stopped")

    def _release(self, runs: list[Run], outcome: str) -> None:
        runs = [run for run in runs if self._is_held(run)]
        if not runs:
            return
        unsent = [call for run in runs if not run.begun for call in run.ready]
        for run in runs:
            run.begun = run.begun or outcome == "error"  # else what fails before its first call would go on for ever
        try:
            release(self.db, runs, unsent)
        except (psycopg.Error, PoolTimeout) as error:
            log.error("could not hand %d runs back, their leases will run out: %s", len(runs), error)
        for run in runs:
            self._drop(run, outcome)

    def _fence(self, run: Run) -> None:
        if self._is_held(run):
            telemetry.FENCED.inc()
            log.warning(
                "lease lost job_id=%s region=%s attempt=%d", run.job_id, run.region, run.attempt, extra=run.about
            )
            self._drop(run, "fenced")

    def _drop(self, run: Run, outcome: str) -> None:
        run.cancelled.set()
        with self._idle:
            if self._runs.pop(run.token, None) is None:
                return
            self._planned.subtract(_by_provider(run))
            telemetry.RUNS_IN_FLIGHT.set(len(self._runs))
            self._idle.notify_all()
        run.done(run.message, outcome)

    def _returned(self, call: Call) -> None:
        self._in_flight[line_of(call)] -= 1
        if self._draining:
            with self._idle:
                self._idle.notify_all()

    def _answered(self, call: Call) -> None:
        with self._lock:
            self._planned[_provider_id(call.unit)] -= 1

    def _held(self) -> list[Run]:
        with self._lock:
            return list(self._runs.values())

    def _is_held(self, run: Run) -> bool:
        return run.token in self._runs

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run a thread's work; if it ever breaks, hand everything back: the process has to be started again."""
        try:
            work()
        except Stopping:
            log.warning("stopped while answers could not be stored")
        except Exception:
            log.exception("a thread of the worker broke")
            telemetry.RUNNER_FAILURES.labels("", "internal_error", "worker").inc()
            self.broken = True
            self._stopped.set()
            self._release(self._held(), "error")


def _provider_id(unit: Unit) -> str:
    return unit.provider.id if unit.provider else ""


def _by_provider(run: Run) -> Counter[str]:
    """How many of a run's calls have no answer, by provider."""
    found: Counter[str] = Counter()
    for unit in run.units.values():
        found[_provider_id(unit)] += len(unit.open)
    return found


def _observe(unit: Unit) -> None:
    status = "completed" if unit.outputs else "failed"
    seconds = max(unit.ended_at, unit.run.claimed_at) - unit.run.claimed_at
    telemetry.series(telemetry.EXECUTION_DURATION, unit.run.region, status).observe(seconds)
    if not unit.outputs:
        telemetry.RUNNER_FAILURES.labels(unit.run.region, unit.errors[-1]["code"], "provider").inc()
