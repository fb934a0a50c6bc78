"""The analyst's verb, store an analysis; a retry beside an analyst; and a label, which makes a job due again."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from bench.crash import states
from bench.crash.client import send
from bench.crash.lane import Lane, until
from bench.crash.states import ADMIN_HEADERS
from bench.crash.verb import TERMINAL, Story, Verb, all_told, jobs_ended
from bench.crash.verbs_api import BEGINNING, act, behind_the_taps, was_retried

BOTH = ("publisher", "worker US", "worker EU")
ANALYSING = ("analyses.add", "analyses.is_due", "embeddings.")
ANALYSED = """
SELECT count(*) FROM jobs j
 WHERE j.id = ANY (%s)
   AND EXISTS (SELECT FROM analyses a
                WHERE a.job_id = j.id AND a.job_version = j.version
                  AND a.label_id = (SELECT COALESCE(max(l.id), 0) FROM answer_labels l WHERE l.job_id = j.id))"""


def two_regions(lane: Lane, story: Story, *, fail: bool = False) -> None:
    """Make a job of both regions that has ended: an analysis of it is due. `fail`: the providers have refused it."""
    if fail:
        lane.provider.set_rules([{"fault": "status", "status": 403}])
    name = states.submitted(lane, story, "US", "EU")
    states.run_by_others(lane, lambda: states.status(lane, name) in TERMINAL, *BOTH)
    lane.provider.set_rules([])


def labelled(lane: Lane, story: Story) -> None:
    """Make a job that has ended, and label an answer of it."""
    two_regions(lane, story)
    lane.do(
        """INSERT INTO answer_labels (answer_id, job_id, category, source, actor)
           SELECT id, job_id, 'hard_refusal', 'human', 'crash' FROM answers WHERE region = 'US'"""
    )


def analyst(lane: Lane, story: Story) -> None:
    """Start an analyst."""
    lane.victim("analyst")


def another(lane: Lane, story: Story) -> None:
    """Start a second analyst, as a supervisor does after the first one was killed. Two may run."""
    lane.others.start("analyst", lane.direct)


def analysed(lane: Lane, story: Story) -> bool:
    """Return whether the present state of every job has its analysis."""
    return bool(lane.one(ANALYSED, story.jobs) == len(story.jobs))


def analysed_before(lane: Lane, story: Story) -> None:
    """Let the analyst behind the taps analyse a job."""
    analyst(lane, story)
    labelled(lane, story)
    until(lambda: analysed(lane, story), "the first job is analysed")


def failed_and_analysed(lane: Lane, story: Story) -> None:
    """Make a job that has failed, and an analyst beside it that has analysed it."""
    two_regions(lane, story, fail=True)
    another(lane, story)
    until(lambda: analysed(lane, story), "the failed job is analysed")


def label(lane: Lane, story: Story) -> None:
    """Label an answer, as an administrator."""
    answer = lane.one("SELECT min(id) FROM answers WHERE status = 'ok'")
    body = b'{"category": "hard_refusal"}'
    send(lane, story, f"/api/v1/answers/{answer}/labels", body, ADMIN_HEADERS)


def is_labelled_once(lane: Lane, story: Story) -> Iterable[str]:
    """Check that the label is stored once, however often the client has sent it."""
    if (count := lane.one("SELECT count(*) FROM answer_labels")) != 1:
        yield f"the answer has {count} labels"


def ended_and_analysed(lane: Lane, story: Story) -> bool:
    """Return whether every job has ended and its present state has its analysis."""
    return jobs_ended(lane, story) and analysed(lane, story)


def analyses_are_right(lane: Lane, story: Story) -> Iterable[str]:
    """Check that the analysis of each present state is what its answers give now, to the last byte."""
    for name in story.jobs:
        input_sha256, result = _computed(lane, name)
        stored = lane.ask(
            """SELECT a.input_sha256, a.result
                 FROM analyses a JOIN jobs j ON j.id = a.job_id AND j.version = a.job_version
                WHERE j.id = %s ORDER BY a.label_id DESC LIMIT 1""",
            name,
        )
        if [(row["input_sha256"], row["result"]) for row in stored] != [(input_sha256, result)]:
            yield f"{name}: the stored analysis is not that of its answers"


def retried_and_analysed(lane: Lane, story: Story) -> Iterable[str]:
    """Check that the job ran again once, and that both its ends were analysed."""
    yield from was_retried(lane, story)
    yield from analyses_are_right(lane, story)
    states_analysed = lane.one("SELECT count(DISTINCT job_version) FROM analyses WHERE job_id = %s", story.jobs[0])
    if states_analysed != 2:
        yield f"{states_analysed} states were analysed; the job has ended twice"


def _computed(lane: Lane, name: str) -> tuple[bytes, dict[str, Any]]:
    from runner_analyst.analyst import compute  # numpy: imported by `preload` with one thread
    from runner_analyst.embedded import with_embeddings
    from runner_core.db import Database
    from runner_core.refusals.text import MAX_CHARACTERS
    from runner_core.settings import Settings
    from runner_core.store import analyses

    patient = lane.direct | {"DB_WRITE_TIMEOUT_MS": "8000"}  # the check itself may wait for a busy machine
    db = Database(Settings.from_env(patient, "analyst"), "analyst", size=1).open()
    try:
        with db.transaction() as conn:
            snapshot = analyses.snapshot(conn, name, MAX_CHARACTERS)
        assert snapshot, f"{name} has not ended"
        return compute(with_embeddings(db, snapshot))
    finally:
        db.close()


# An analyst looks for due jobs again and again: the first of each message belongs to the verb.
VERBS = [
    Verb("store an analysis", labelled, analyst, analysed, ("analyses.", "embeddings."), then=another, ended=analysed,
         repeats=(), check=analyses_are_right),
    Verb("store an analysis, warm", analysed_before, two_regions, analysed, ANALYSING,
         then=another, ended=analysed, repeats=(), check=analyses_are_right),
    Verb("retry beside an analyst", behind_the_taps(failed_and_analysed), partial(act, action="retry"), all_told,
         ("jobs.reopen",), elsewhere=BEGINNING, others=BOTH, ended=ended_and_analysed, check=retried_and_analysed),
    Verb("label an answer", behind_the_taps(two_regions), label, all_told, ("labels.lock", "labels.add"),
         check=is_labelled_once),
]  # fmt: skip
