"""Builds and writes the rows of a batch in one transaction (C2).

The lock order is: the jobs that may end, then the runs, then everything else. Only the last answer of a unit takes the
job's lock, so the regions of a job rarely wait for each other.
"""

from dataclasses import dataclass, field

from runner_core import endings
from runner_core.db import Database, retried
from runner_core.failpoints import failpoint
from runner_core.keys import PrivateKey
from runner_core.queries import run
from runner_core.regions import Catalogue
from runner_core.store import answers, executions, region_runs, tries
from runner_core.store.answers import CallKey, Finished, Started
from runner_core.store.executions import Ended
from runner_core.store.tries import Try
from runner_worker.engine.execution_row import ExecutionRows, to_json
from runner_worker.engine.runs import Answer, Call, Run, Unit, log_as_of
from runner_worker.engine.tries import unreached


@dataclass
class Batch:
    """The calls, answers and units that one transaction writes. `starts`: calls to be made; `unreached`: calls with
    tries that did not reach the provider; `units`: complete units."""

    starts: list[Call] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    unreached: list[Answer] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    closing: list[Run] = field(default_factory=list)  # runs in which nothing is left to do

    def runs(self) -> list[Run]:
        """Return the runs of this batch, each once."""
        every = [c.run for c in self.starts] + [u.run for u in self.units]
        every += [a.call.run for a in (*self.answers, *self.unreached)]
        return list(dict.fromkeys(every + self.closing))

    def of(self, run: Run) -> "Batch":
        """Return the part of this batch that concerns one run."""
        return Batch(
            [c for c in self.starts if c.run is run],
            [a for a in self.answers if a.call.run is run],
            [a for a in self.unreached if a.call.run is run],
            [u for u in self.units if u.run is run],
            [r for r in self.closing if r is run],
        )


@dataclass
class Written:
    """The result of writing a batch. `fenced`: tokens of lost leases; `kept`: tokens of runs that an earlier try of the
    same transaction has finished; `started`: calls that may be made; `endings`: regions and jobs that ended."""

    fenced: set[str]
    kept: set[str]
    started: set[CallKey]
    endings: endings.Endings
    given_up: list[Run] = field(default_factory=list)  # runs whose own rows the database refuses

    @classmethod
    def nothing(cls) -> "Written":
        """Return the result of an empty batch."""
        return cls(set(), set(), set(), endings.Endings([], []))

    def add(self, other: "Written") -> None:
        """Add the result of another transaction."""
        self.fenced |= other.fenced
        self.kept |= other.kept
        self.started |= other.started
        self.endings.regions.extend(other.endings.regions)
        self.endings.jobs.extend(other.endings.jobs)
        self.given_up += other.given_up


class RowWriter:
    """Builds the rows of a batch and writes them in one transaction."""

    def __init__(self, catalogue: Catalogue, receipt_key: PrivateKey | None) -> None:
        self.execution_rows = ExecutionRows(catalogue, receipt_key)

    def write(self, db: Database, batch: Batch) -> Written:
        """Write a batch in one transaction. After a temporary failure the whole transaction is repeated."""
        runs = batch.runs()
        log_as_of(runs)
        starts = sorted(started(call) for call in batch.starts)
        finished = sorted((finished_row(answer) for answer in batch.answers), key=lambda f: f[:5])
        withdrawn = sorted(tried for answer in batch.unreached for tried in unreached(answer))
        ended = sorted((self.execution_rows.ended(unit) for unit in batch.units), key=lambda e: e[:3])
        ending = sorted({e.job_id for e in ended} | {run.job_id for run in batch.closing})
        return write_rows(db, sorted({run.held for run in runs}), starts, finished, withdrawn, ended, ending)


@retried
def write_rows(
    db: Database,
    held: list[region_runs.Held],
    starts: list[Started],
    finished: list[Finished],
    withdrawn: list[Try],
    ended: list[Ended],
    job_ids: list[str],
) -> Written:
    """Transaction C2. Nothing is read before the commit, so that the whole transaction is one round trip."""
    with db.transaction() as conn:
        if job_ids:
            run(conn, "jobs.lock", job_ids=job_ids)
        holding = region_runs.hold(conn, held)
        allowed = answers.start(conn, starts) if starts else None
        if finished:
            answers.finish(conn, finished)
        if withdrawn:
            tries.withdraw(conn, withdrawn)
        if ended:
            executions.record(conn, ended)
            failpoint("worker.recorded")
        ended_now = endings.closing(conn, job_ids) if job_ids else None
    lost = {token for _, _, token in held}.difference(row["token"] for row in holding.fetchall() if row["mine"])
    kept: set[str] = set()
    if unsure := [e for e in ended if e.token in lost]:
        with db.transaction() as conn:
            kept = executions.kept(conn, unsure)
    calls = answers.begun(allowed) if allowed else set()
    ending = ended_now() if ended_now else endings.Endings([], [])
    if starts:
        failpoint("worker.started")
    if ending.regions:
        failpoint("worker.committed")
    ending.report()
    db.notifier.notify({f.job_id for f in finished}.union(job_ids))
    return Written(lost - kept, kept, calls, ending)


def started(call: Call) -> Started:
    """Return the parameters of a call's row, which is written before the call is made."""
    unit = call.unit
    provider_id = unit.provider.id if unit.provider else ""
    return Started(
        call.run.job_id, call.run.region, unit.model_id, call.question_id, call.run_no, provider_id, call.run.token
    )


def finished_row(answer: Answer) -> Finished:
    """Return the row of an ended call."""
    call, provenance = answer.call, answer.provenance
    return Finished(
        job_id=call.run.job_id,
        region=call.run.region,
        model_id=call.unit.model_id,
        question_id=call.question_id,
        run_no=call.run_no,
        token=call.run.token,
        attempt=call.run.attempt,
        status=answer.status,
        provider_id=answer.provider_id,
        calls=answer.calls,
        completed_at=call.run.clock.at(answer.ended),
        duration_ms=int((answer.ended - call.begun) * 1000),
        output=to_json(answer.output) if answer.output is not None else None,
        error_detail=to_json(answer.error) if answer.error is not None else None,
        earlier=to_json(answer.earlier) if answer.earlier else "[]",
        served=None if provenance.served is None else to_json(provenance.served),
        sent=None if provenance.sent is None else to_json(provenance.sent),
        waited_ms=provenance.waited_ms,
        answered_ms=provenance.answered_ms,
        paid=provenance.paid,
    )
