"""Checks at the end of a schedule in which an analyst took part. Each one yields what is wrong."""

from collections.abc import Iterator
from typing import Any

from bench.interleavings.holds import Seen
from bench.interleavings.verbs import JOB
from bench.interleavings.verbs_analyst import Analysed
from runner_api.verbs.retry import Retried


def is_analysed_as_it_was(seen: Seen) -> Iterator[str]:
    """Check that the retried job runs again, and that an analysis is of the calls before the retry or is not there."""
    yield from _read_whole(seen, {"failed"})
    if not isinstance(seen.results[1], Retried) or seen.status != "running":
        yield f"the retry said {seen.results[1]!r}, and the job is {seen.status}"
    before = seen.world.value("SELECT version FROM kept.jobs WHERE id = %s", JOB)
    if other := [row for row in _analyses(seen) if row["job_version"] != before]:
        yield f"the job of version {before} was analysed as {other}"


def is_analysed_once(seen: Seen) -> Iterator[str]:
    """Check that the job's only state has one analysis, whoever stored it."""
    yield from _read_whole(seen, {"completed"})
    if len(found := _analyses(seen)) != 1:
        yield f"a job of one state has the analyses {found}"


def is_analysed_with_its_labels(seen: Seen) -> Iterator[str]:
    """Check that the label is stored, and that each analysis knows exactly the labels up to the one that it names."""
    yield from _read_whole(seen, {"completed"})
    added = seen.results[1]
    if not added or seen.count("answer_labels") != 1:
        yield f"labelling said {added}, and there are {seen.count('answer_labels')} labels"
    for snapshot in _read(seen):
        if bool(snapshot.labels) != bool(snapshot.state.label_id) or snapshot.state.label_id not in (0, added):
            yield f"an analyst read {len(snapshot.labels)} labels in the state {snapshot.state}"
    if len(found := _analyses(seen)) != 1 or found[0]["label_id"] not in (0, added):
        yield f"the analyses are {found}, the label is {added}"


def is_removed_or_analysed(seen: Seen) -> Iterator[str]:
    """Check that the job is removed with its analysis; or that retention left it to its next pass, because the analyst
    had its lock, and that the analysis is stored."""
    yield from _read_whole(seen, {"failed"})
    removed = seen.results[1]
    rows = {table: seen.count(table) for table in ("jobs", "answers", "analyses")}
    wanted = {"jobs": 0, "answers": 0, "analyses": 0} if not rows["jobs"] else {"jobs": 1, "answers": 2, "analyses": 1}
    if rows != wanted:
        yield f"retention removed {removed} rows, and there are {rows}"


def _read(seen: Seen) -> list[Any]:
    return [snapshot for said in seen.results if isinstance(said, Analysed) for snapshot in said.read]


def _read_whole(seen: Seen, statuses: set[str]) -> Iterator[str]:
    """Check that every analyst has read calls of one state, and that none has met an error."""
    for said in seen.results:
        if isinstance(said, Analysed) and said.failed:
            yield "an analysis has failed"
    for snapshot in _read(seen):
        if (found := {call["status"] for call in snapshot.calls}) != statuses:
            yield f"an analyst read calls that are {found}"


def _analyses(seen: Seen) -> list[dict[str, Any]]:
    return seen.world.rows("SELECT job_version, label_id FROM analyses WHERE job_id = %s", JOB)
