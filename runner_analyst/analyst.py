"""Analyses the jobs that are due, one at a time: read in one snapshot, compute outside any transaction, insert a row.

It may end at any moment: until the row is inserted nothing has changed, and a new process finds the job again. Several
analysts may run: of two that analyse the same state, one inserts its row.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import psycopg
from psycopg.errors import ForeignKeyViolation
from psycopg_pool import PoolTimeout

from runner_analyst.due import DueJobs
from runner_analyst.embedded import with_embeddings
from runner_core.comparison.compare import METHOD_ID, analyse, method_id
from runner_core.comparison.export import export
from runner_core.comparison.material import Material
from runner_core.comparison.trust import Measured, measured
from runner_core.db import Database, retried
from runner_core.failpoints import failpoint
from runner_core.failures import failure_of
from runner_core.refusals import embedding
from runner_core.refusals.scored import DETECTOR_ID
from runner_core.refusals.text import MAX_CHARACTERS
from runner_core.store import analyses, judgements
from runner_core.store.analyses import Analysis, Snapshot
from runner_core.telemetry import ANALYSES, ANALYSES_DUE, ANALYSIS_FAILURES, ANALYSIS_SECONDS

log = logging.getLogger("analyst")
LOOK_SECONDS = 1.0  # between two looks while jobs are known to be due
JUDGE_SECONDS = 60.0  # between two looks whether the judge's labels count


class Computed(NamedTuple):
    """What a method made of a snapshot: the SHA-256 of what went in (32 bytes), and the result."""

    input_sha256: bytes
    result: dict[str, Any]


Compute = Callable[[Snapshot], Computed]
Detect = Callable[[Database, Snapshot], Snapshot]


def compute(snapshot: Snapshot) -> Computed:
    """Analyse a job's snapshot with this release's method. No I/O."""
    read = (snapshot.job, snapshot.calls, snapshot.labels, snapshot.units)
    material = Material.of_export(export(*read, snapshot.scores, snapshot.judge, snapshot.measured))
    return Computed(bytes.fromhex(material.sha256()), analyse(material))


def by_rules(db: Database, snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as it is: the rules alone give the categories."""
    return snapshot


def analyst_for(db: Database, judge: str | None = None, progressed: Callable[[], None] = lambda: None) -> "Analyst":
    """Return an analyst by rules and embedding where the extra `semantic` is installed, else by the rules alone.

    `progressed` is called after each batch of texts that is embedded.
    """
    if embedding.installed():
        detect = partial(with_embeddings, progressed=progressed)
        return Analyst(db, method=method_id(DETECTOR_ID), detect=detect, judge=judge)
    return Analyst(db, judge=judge)


class Analyst:
    """Analyses due jobs. Owned by one thread.

    `compute` and `method` are this release's, or a test's. `look_seconds`: the time between two looks for further jobs
    while some are known. `detect` adds to a snapshot what its categories are found by, outside any transaction.
    `judge`: the id of the judge that the regions file names.
    """

    def __init__(
        self,
        db: Database,
        compute: Compute = compute,
        method: str = METHOD_ID,
        look_seconds: float = LOOK_SECONDS,
        detect: Detect = by_rules,
        judge: str | None = None,
    ) -> None:
        self._db = db
        self._compute = compute
        self._detect = detect
        self._own_method = method
        self.method = method
        self._named_judge = judge  # by the regions file
        self.judge: str | None = None  # while its labels count
        self._measured: Measured | None = None  # at the last look that found that they count
        self._looked_at_judge: float | None = None
        self._has_shown = False  # whether the method has been stored as the one that is shown
        self._look_seconds = look_seconds
        self._looked_at = 0.0
        self.due = DueJobs(db, method)

    def analyse_due(self) -> int:
        """Take a job that is due and analyse it. Return the number of jobs taken: 1, or 0 if none is due.

        A job whose analysis fails is set aside, and counts. Raises psycopg.Error or PoolTimeout if the database does
        not work; nothing is forgotten then.
        """
        job_id = self._take()
        ANALYSES_DUE.set(len(self.due) + (job_id is not None))
        if job_id is None:
            return 0
        try:
            self._analyse(job_id)
        except (psycopg.Error, PoolTimeout) as error:
            if failure_of(error).concerns != "row":
                self.due.put_back(job_id)
                raise
            self._failed(job_id)
        except Exception:  # noqa: BLE001 - whatever is wrong with one job, the others are analysed
            self._failed(job_id)
        else:
            self.due.done(job_id)
        ANALYSES_DUE.set(len(self.due))
        return 1

    def _look_at_judge(self) -> None:
        """Look whether the judge's labels count. If that has changed, every job is due by another method.

        The method is stored as the one whose analyses are shown: a job may have a newer one by another
        method. It is stored only when it changes and at the start, so that of two releases that run side by side the
        one that was started last decides, and the two don't take turns. A look that fails changes nothing: jobs are
        analysed without a judge too.
        """
        if self._looked_at_judge is not None and time.monotonic() - self._looked_at_judge < JUDGE_SECONDS:
            return
        self._looked_at_judge = time.monotonic()
        try:
            counts, found = self._counting()
            if not self._has_shown or counts != self.judge:
                method = f"{self._own_method}+{counts}" if counts else self._own_method
                _show(self._db, method)
                self._has_shown = True
                if counts != self.judge:
                    self.judge, self.method, self.due = counts, method, DueJobs(self._db, method)
            self._measured = found
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("can't look whether the judge's labels count, the next look is in a minute: %s", error)

    def _counting(self) -> tuple[str | None, Measured | None]:
        """Return the id of the judge if its labels count now, and what was measured of it."""
        if self._named_judge is None:
            return None, None
        found, shown = _beside_people(self._db, self._named_judge)
        counts = found.counts(before=shown is not None and shown.endswith(f"+{self._named_judge}"))
        if not self._has_shown or counts != (self.judge is not None):
            log.info(
                "the judge's labels count=%s kappa=%s n=%d silent=%d", counts, found.kappa, found.answers, found.silent
            )
        return (self._named_judge, found) if counts else (None, None)

    def _take(self) -> str | None:
        self._look_at_judge()
        if time.monotonic() - self._looked_at < self._look_seconds and (job_id := self.due.take()):
            return job_id
        while True:
            self.due.look()
            self._looked_at = time.monotonic()
            job_id = self.due.take()
            if job_id is not None or not self.due.has_more:
                return job_id

    def _analyse(self, job_id: str) -> None:
        snapshot = _read(self._db, job_id, self.method)
        if snapshot is None:
            return
        failpoint("analyst.read")
        began = time.monotonic()
        measured = self._measured.as_json() if self._measured else None
        detected = replace(self._detect(self._db, snapshot), judge=self.judge, measured=measured)
        input_sha256, result = self._compute(detected)
        seconds = time.monotonic() - began
        failpoint("analyst.computed")
        text = json.dumps(result, ensure_ascii=False, allow_nan=False, sort_keys=True)
        analysis = Analysis(snapshot.state, self.method, input_sha256, text, int(seconds * 1000))
        stored = _store(self._db, analysis)
        failpoint("analyst.stored")
        ANALYSIS_SECONDS.observe(seconds)
        if stored:
            ANALYSES.labels(self.method).inc()
        version, label_id = snapshot.state.job_version, snapshot.state.label_id
        what = "analysed" if stored else "another analyst was first, or the job is gone"
        log.info("%s job_id=%s version=%d label=%d seconds=%.3f", what, job_id, version, label_id, seconds)

    def _failed(self, job_id: str) -> None:
        ANALYSIS_FAILURES.inc()
        pause = self.due.set_aside(job_id)
        log.exception("the analysis failed, it is tried again in %.0f s job_id=%s", pause, job_id)


@retried
def _read(db: Database, job_id: str, method: str) -> Snapshot | None:
    """Return a due job in its present state; None if it is not due, or changes at this moment."""
    with db.transaction() as conn:
        return analyses.snapshot(conn, job_id, MAX_CHARACTERS) if analyses.is_due(conn, job_id, method) else None


@retried
def _beside_people(db: Database, judge: str) -> tuple[Measured, str | None]:
    """Return how far the judge labels as people do, and the method that is shown."""
    with db.transaction() as conn:
        return measured(judgements.beside_people(conn, judge)), analyses.shown_method(conn)


@retried
def _show(db: Database, method: str) -> None:
    with db.transaction() as conn:
        analyses.show_method(conn, method)


@retried
def _store(db: Database, analysis: Analysis) -> bool:
    """Store an analysis. Return False if its state has one, or retention removes the job at this moment."""
    try:
        with db.transaction(expected=("23503",)) as conn:
            return analyses.add(conn, analysis)
    except ForeignKeyViolation:  # the statement saw the job, and waited for the transaction that has removed it
        return False
