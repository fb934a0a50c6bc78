"""Why a job is not done, or how it ended, in lines: the API's reasons, and the actors of its events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runner_cli.client import as_argument
from runner_cli.snapshot import Snapshot
from runner_core.durations import duration

DAY = 86400


@dataclass(frozen=True)
class Story:
    """A job, its events in order, and the present time."""

    job: Snapshot
    events: Sequence[Mapping[str, Any]]
    now: datetime

    def lines(self) -> list[str]:
        """Why the job is not done, or how it ended."""
        return self._ended() if self.job.has_ended else self._open()

    def _open(self) -> list[str]:
        age = self._since(self.job.job["created_at"])
        sentences = [f"Job {self.job.id} is {self.job.status}; it was submitted {age} ago."]
        waiting = {reason["subject"] for reason in self.job.job["waiting"]}
        if finished := [region for region in self.job.regions if region not in waiting]:
            sentences.append(f"{_and(finished)} {'has' if len(finished) == 1 else 'have'} finished.")
        return sentences + self._reasons()

    def _reasons(self) -> list[str]:
        """What the API says of each region that waits, or of each failure; what holds for several of them once."""
        subjects: dict[tuple[str, str], list[str]] = {}
        for reason in self.job.job["waiting"]:
            subjects.setdefault((reason["text"], reason["remedy"]), []).append(reason["subject"])
        return [
            f"{_and(names)}: {text}" + (f" -> {remedy.removesuffix('.')}." if remedy else "")
            for (text, remedy), names in subjects.items()
        ]

    def _ended(self) -> list[str]:
        ended = self._since(self.job.job["completed_at"])
        sentences = [f"Job {self.job.id} is done: it ended {ended} ago as {self.job.verdict}."]
        sentences += [f"{e['actor']} cancelled it." for e in self.events if e["type"] == "cancel_requested"]
        across = self.job.job.get("cross_region") or {}
        if self.job.failed_units:
            total = self.job.job["progress"]["total"]
            sentences.append(f"{self.job.failed_units} of {total} units failed.")
        if across.get("status") in ("failed", "partial"):
            sentences.append(
                f"{across.get('success_count')} of {across.get('total_regions')} regions succeeded; "
                f"{across.get('min_regions_required')} had to succeed, and from a success rate of "
                f"{across.get('min_success_rate')} on the job counts as completed."
            )
        sentences += self._reasons()
        if self.job.verdict in ("failed", "partial"):
            sentences.append(f"`beacon retry {as_argument(self.job.id)}` runs the failed units once more.")
        return sentences

    def _since(self, moment: str) -> str:
        passed = max(0, int((self.now - datetime.fromisoformat(moment)).total_seconds()))
        return duration(passed * 1000) if passed < 2 * DAY else f"{passed // DAY} days"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
