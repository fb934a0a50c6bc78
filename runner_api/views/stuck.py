"""Explain why jobs are stuck, and say for which of them sending their regions again can help."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runner_api.views import Row
from runner_api.views.diagnosis import Diagnosis, Sentence
from runner_core.statuses import ALIVE_SECONDS


@dataclass(frozen=True)
class Stuck:
    """A stuck job. `sentences` is None for a job of which only the age was looked at."""

    id: str
    reason: str
    created_at: datetime
    sentences: list[Sentence] | None
    send_again: bool


def listed(late: Row) -> Stuck:
    """Return a stuck job of which nothing else is known. `late`: a row of reads.stuck or reads.overdue."""
    return Stuck(late["id"], late["reason"], late["created_at"], None, False)


def explained(late: Row, job: Row, regions: Sequence[Row], rows: Sequence[Row], processes: Sequence[Row]) -> Stuck:
    """Return a stuck job with the sentences of its page. The rows are those of the page's statements."""
    sentences = Diagnosis(job, regions, rows, processes, datetime.now().astimezone()).explain()
    helps = any(_may_be_lost(region, processes) for region in regions)
    return Stuck(late["id"], late["reason"], late["created_at"], sentences, helps)


def _may_be_lost(region: Row, processes: Sequence[Row]) -> bool:
    """Return whether a new message can help a region: its message was given up, or may be lost on the way to a worker.

    Without a worker the new message would wait like the old one; and a message that was not sent yet is no help.
    """
    if region["finished_at"] or region["status"] == "running":
        return False
    if region["dead_at"]:
        return True
    alive = (row["seconds_since"] < ALIVE_SECONDS for row in processes if _serves(row, region["region"]))
    return bool(region["published_at"]) and any(alive)


def _serves(process: Row, region: str) -> bool:
    return bool(process["kind"] == "worker" and process["region"] == region)
