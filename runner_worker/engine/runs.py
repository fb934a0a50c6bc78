"""The state of a region run in its worker: units, calls, answers."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from runner_core.parameters import effective
from runner_core.queries import Row
from runner_core.regions import Catalogue, Provider
from runner_core.store.answers import CallKey
from runner_core.store.region_runs import Held
from runner_core.telemetry import context
from runner_core.upstreams import UpstreamModel
from runner_worker.engine.origin import Clock, Origin
from runner_worker.engine.provenance import UNKNOWN, Provenance, output_of
from runner_worker.providers import CallFailed, Reply

Done = Callable[["Message", str], None]


@dataclass(frozen=True)
class Message:
    """A message from the queue: it asks for one region of one job."""

    job_id: str
    region: str
    request_id: str
    dispatch_id: str


@dataclass(eq=False, slots=True)
class Call:
    """One question to one unit: one paid call, which may take several tries."""

    run: "Run"
    unit: "Unit"
    question_id: str
    prompt: str
    run_no: int
    asked: float = 0.0  # when it asked for a place, in time.monotonic() seconds
    begun: float = 0.0  # when it was sent, or held back for a breaker, in the same seconds
    in_hand: bool = False  # counted by Capacity
    started: bool = False  # the row of its first try is committed
    sent: bool = False  # the call was given to its provider's adapter
    starting: "asyncio.Future[bool] | None" = None  # done when its row is committed: whether the call may be made


def key_of(call: Call) -> CallKey:
    """Return the key of a call's row in `answers`."""
    return call.run.job_id, call.run.region, call.unit.model_id, call.question_id, call.run_no


@dataclass(slots=True)
class Answer:
    """The end of a call: `output` of a usable answer, or `error` of a failure."""

    call: Call
    status: str  # ok | failed
    provider_id: str | None
    calls: int
    ended: float
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    earlier: list[dict[str, Any]] = field(default_factory=list)
    unreached: tuple[int, ...] = ()  # numbers of the tries that have a row and did not reach the provider
    provenance: Provenance = UNKNOWN

    @classmethod
    def of(cls, call: Call, reply: Reply, place_ms: int = 0) -> "Answer":
        """Return the answer that a provider gave. A refusal is a usable answer. `place_ms`: how long the call waited
        for its place in this worker."""
        return cls(
            call,
            "ok",
            reply.provider_id,
            reply.calls,
            time.monotonic(),
            output=output_of(reply),
            earlier=reply.errors,
            unreached=reply.unreached,
            provenance=Provenance.of(reply, place_ms),
        )

    @classmethod
    def failed(cls, call: Call, failure: CallFailed) -> "Answer":
        """Return the answer of a call whose last try failed."""
        provider_id = failure.error.get("provider")
        return cls(
            call,
            "failed",
            provider_id,
            failure.calls,
            time.monotonic(),
            error=failure.error,
            earlier=list(failure.errors),
            unreached=failure.unreached,
            provenance=Provenance.of_failure(failure),
        )


@dataclass(eq=False, slots=True)
class Unit:
    """One model in one region. A complete unit is stored as one execution.

    `parameters`: what the job asks the model with, nulls among it. `provenance`: of each (question, run) that ended.
    """

    run: "Run"
    model_id: str
    provider: Provider | None
    upstream: UpstreamModel | None
    parameters: Mapping[str, Any]
    open: set[tuple[str, int]]  # (question, run) pairs without an answer
    outputs: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[tuple[str, int], Provenance] = field(default_factory=dict)
    providers: set[str] = field(default_factory=set)
    tries: int = 0
    ended_at: float = 0.0  # time.monotonic() seconds of the last answer
    complete: bool = False  # no answer is missing, and the recorder has the unit
    written: bool = False  # a transaction that contained the unit was committed

    def take(self, answer: Answer) -> bool:
        """Add an answer. Return whether it was still missing."""
        key = (answer.call.question_id, answer.call.run_no)
        if key not in self.open:
            return False
        self.tries += len(answer.earlier)
        self.ended_at = max(self.ended_at, answer.ended)
        self.add(*key, answer.output, answer.error, answer.provider_id, answer.provenance)
        return True

    def add(
        self,
        question_id: str,
        run_no: int,
        output: dict[str, Any] | None,
        error: dict[str, Any] | None,
        provider_id: str | None,
        provenance: Provenance,
    ) -> None:
        """Add the output or the error of one question, from this attempt or an earlier one."""
        self.open.discard((question_id, run_no))
        self.provenance[question_id, run_no] = provenance
        if output is not None:
            self.outputs.append({"question_id": question_id, "run_no": run_no, "served": provenance.served, **output})
        elif error is not None:
            self.errors.append(error)
        if provider_id:
            self.providers.add(provider_id)


class Run:
    """One claimed region run. Its times are of time.monotonic(); `clock` converts them to the database's clock.

    The claiming thread creates the object; from then on the engine's event loop owns it.
    """

    def __init__(
        self, claimed: Row, message: Message, done: Done, catalogue: Catalogue, stored: Sequence[Row] = ()
    ) -> None:
        """`stored`: the rows of earlier attempts, so that no answered question is asked again."""
        self.job_id: str = claimed["job_id"]
        self.region: str = claimed["region"]
        self.token: str = claimed["token"]
        self.attempt: int = claimed["attempt"]
        self.origin = Origin(self.job_id, claimed["request_id"], claimed["traceparent"])
        self.provider_timeout: float = claimed["provider_timeout_seconds"]
        self.done = partial(done, message)  # called with the outcome when the run has ended here
        self.begun = False  # a call of this run was made
        self.outcome = ""  # how the run ends in this process, once decided: see `end`
        self.closed = asyncio.Event()  # set with the outcome
        self.asking: asyncio.Task[None] | None = None  # the task of the run while its calls are made
        self.clock = Clock(claimed["started_at"], time.monotonic())
        self.deadline = self.clock.claimed_at + claimed["timeout_seconds"]
        asked = {
            (question["id"], run_no): question["text"]
            for question in claimed["questions"]
            for run_no in range(1, claimed["runs"] + 1)
        }
        self.units = {}
        for model_id in claimed["models"]:
            provider, upstream = catalogue.provider_for(self.region, model_id) or (None, None)
            parameters = effective(claimed["parameters"], model_id)
            self.units[model_id] = Unit(self, model_id, provider, upstream, parameters, set(asked))
        self._resume(stored)
        self.plan = [  # the calls that are still to be made, in the order of the plan
            Call(self, unit, question_id, prompt, run_no)
            for unit in self.units.values()
            for (question_id, run_no), prompt in asked.items()
            if (question_id, run_no) in unit.open
        ]

    def end(self, outcome: str) -> None:
        """Set the outcome in this process: `finished`, `fenced`, `released` or `error`. The first one set counts.

        Calls under way are cancelled.
        """
        if self.outcome:
            return
        self.outcome = outcome
        self.closed.set()
        if self.asking and self.asking is not asyncio.current_task():
            self.asking.cancel()

    def unanswered(self) -> list[Call]:
        """Return the calls of the plan that have no answer."""
        return [call for call in self.plan if (call.question_id, call.run_no) in call.unit.open]

    def unsent(self) -> list[Call]:
        """Return the calls whose first try has a row and was never sent to the provider."""
        return [call for call in self.plan if call.started and not call.sent]

    @property
    def held(self) -> Held:
        """Return the key of this run with the token of its lease."""
        return self.job_id, self.region, self.token

    def _resume(self, stored: Sequence[Row]) -> None:
        for row in stored:
            unit = self.units.get(row["model_id"])
            if unit is None:
                continue
            if row["question_id"] is None:
                del self.units[row["model_id"]]
            else:
                key = (row["question_id"], row["run_no"])
                unit.add(*key, row["output"], row["error"], row["provider_id"], Provenance.of_row(row))


def log_as_of(runs: Sequence[Run]) -> None:
    """Set this thread's log context: the ids of the job if all runs belong to one job, else none."""
    alone = len({run.job_id for run in runs}) == 1
    context.set(runs[0].origin.about["about"] if alone else None)
