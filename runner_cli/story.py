"""What keeps a job, told from its events and from the processes that live."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runner_cli.snapshot import Snapshot
from runner_cli.terminal import seconds

STAGED = {
    "lease_expired": "after its worker was lost",
    "message_lost": "because Redis no longer had its message",
    "released": "because its worker was stopped",
    "retry": "as a retry",
    "republished": "by an operator",
}


@dataclass(frozen=True)
class Story:
    """A job, its events in order, how many processes of each kind live (`worker:US`), and the present time."""

    job: Snapshot
    events: Sequence[Mapping[str, Any]]
    alive: Mapping[str, int]
    now: datetime

    def paragraph(self) -> str:
        """Why the job is not done, or how it ended."""
        sentences = self._ended() if self.job.has_ended else self._open()
        return " ".join(sentences)

    def _open(self) -> list[str]:
        age = self._since(self.job.job["created_at"])
        sentences = [f"Job {self.job.id} is {self.job.status}; it was submitted {age} ago."]
        finished = [region for region in self.job.regions if self._last(region, "region_finished")]
        if finished:
            sentences.append(f"{_and(finished)} {'has' if len(finished) == 1 else 'have'} finished.")
        sentences += [self._region(region) for region in self.job.regions if region not in finished]
        if self.alive.get("publisher") == 0:
            sentences.append("No publisher is alive, so nothing that waits is sent: start one.")
        return sentences

    def _region(self, region: str) -> str:
        """Where one unfinished region stands."""
        last = self._last(region, "region_claimed", "region_released", "lease_expired", "region_staged")
        attempts = self._attempts(region)
        if last and last["type"] == "region_claimed":
            rows = [row for row in self.job.rows if row["region"] == region]
            done = sum(row["status"] not in ("pending", "running") for row in rows)
            again = f", attempt {attempts}" if attempts > 1 else ""
            return (
                f"{region} is running{again}: a worker took it {self._since(last['at'])} ago and has {done} of "
                f"{len(rows)} answers{self._trouble(rows)}."
            )
        since = last["at"] if last else self.job.job["created_at"]
        told = f"{region} has waited for {self._since(since)}"
        if last and last["type"] == "region_staged":
            told += f", {STAGED.get(str((last.get('detail') or {}).get('reason')), 'sent again')}"
        elif last and last["type"] == "lease_expired":
            told += ", since its worker was lost"
        if attempts:
            told += f" ({attempts} attempts so far)"
        workers = self.alive.get(f"worker:{region}")
        if workers == 0:
            return f"{told}: no worker of {region} is alive; start one (`python -m runner_worker --region {region}`)."
        count = "its" if workers is None else str(workers)
        return f"{told}: {count} live workers are busy or about to take it."

    def _trouble(self, rows: list[dict[str, Any]]) -> str:
        """The errors so far, in a few words."""
        codes = {str((row.get("error_detail") or {}).get("code")) for row in rows if row["status"] == "failed"}
        return f" ({', '.join(sorted(codes))} so far)" if codes else ""

    def _ended(self) -> list[str]:
        ended = self._since(self.job.job["completed_at"])
        sentences = [f"Job {self.job.id} is done: it ended {ended} ago as {self.job.verdict}."]
        if request := self._last(None, "cancel_requested"):
            sentences.append(f"{request['actor']} cancelled it.")
        across = self.job.job.get("cross_region") or {}
        if self.job.verdict in ("failed", "partial"):
            sentences.append(
                f"{across.get('success_count')} of {across.get('total_regions')} regions succeeded; "
                f"{across.get('min_regions_required')} had to, and a rate of {across.get('min_success_rate')} "
                "makes it complete."
            )
        sentences += self._failures()
        if self.job.verdict in ("failed", "partial"):
            sentences.append(f"`beacon retry {self.job.id}` runs what failed once more.")
        return sentences

    def _failures(self) -> list[str]:
        """One sentence for each reason, with where it happened."""
        places: dict[str, list[str]] = {}
        for row in self.job.rows:
            if row["status"] == "failed":
                detail = row.get("error_detail") or {}
                reason = f"{detail.get('code', 'failed')}: {row.get('error') or 'no message'}"
                place = f"{row['model_id']} in {row['region']}"
                places.setdefault(reason, [])
                if place not in places[reason]:
                    places[reason].append(place)
        return [f"{_and(where)} failed with {reason.rstrip('.')}." for reason, where in places.items()]

    def _attempts(self, region: str) -> int:
        """Claims that count: one handed back before its first call does not."""
        mine = [event for event in self.events if event.get("region") == region]
        claims = [event for event in mine if event["type"] == "region_claimed"]
        released = [event for event in mine if event["type"] == "region_released"]
        return len(claims) - sum(not (event.get("detail") or {}).get("call_begun") for event in released)

    def _last(self, region: str | None, *types: str) -> Mapping[str, Any] | None:
        """The latest of these events; what was before a region's last retry or claim anew does not count as its end."""
        found = None
        for event in self.events:
            if event["type"] == "retry_requested" and types == ("region_finished",):
                retried = {unit.get("region") for unit in (event.get("detail") or {}).get("units", [])}
                found = None if region in retried else found
            elif event["type"] in types and event.get("region") == region:
                found = event
        return found

    def _since(self, moment: str) -> str:
        passed = max(0.0, (self.now - datetime.fromisoformat(moment)).total_seconds())
        if passed >= 7200:
            return f"{passed / 3600:.1f} hours"
        return seconds(passed * 1000)


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
