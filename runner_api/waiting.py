"""Why a job is not done, or why it failed: one sentence for each thing, with the way out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runner_api.portal.grid import ENDED, in_order
from runner_api.portal.words import counted, span
from runner_core.queries import Row

UNSENT_SECONDS = 10  # a push that fails as a whole counts against no message, so only its age tells


@dataclass(frozen=True)
class Sentence:
    """`serious` means that it will not pass by itself; `remedy` is a command or what to do then."""

    subject: str
    text: str
    remedy: str = ""
    serious: bool = False


@dataclass(frozen=True)
class Waiting:
    """A job, its regions with their newest messages, its calls, the processes that live, and the present time."""

    job: Row
    regions: Sequence[Row]
    rows: Sequence[Row]
    alive: Sequence[Row]
    now: datetime

    def sentences(self) -> list[Sentence]:
        """Everything worth saying."""
        if self.job["status"] in ("queued", "running"):
            runs = {region["region"]: region for region in self.regions}
            return [self._region(runs[name]) for name in in_order(runs) if not runs[name]["finished_at"]]
        return self._failures()

    def _region(self, region: Row) -> Sentence:
        name = region["region"]
        if region["status"] == "running":
            return self._running(region)
        again = f" Attempt {region['attempt']} of {region['max_attempts']} did not finish." if region["attempt"] else ""
        if region["dead_at"]:
            text = f"Its message could not be delivered: {region['publish_error'] or 'no reason is known'}.{again}"
            return Sentence(name, text, "Send it again from the Operations page.", True)
        if region["staged_at"] and not region["published_at"]:
            return self._unpublished(region, again)
        waited = self._since(region["published_at"] or region["staged_at"] or self.job["created_at"])
        workers = self._alive("worker", name)
        if not workers:
            text = f"It has been in the queue for {waited}, and no worker of {name} is alive.{again}"
            return Sentence(name, text, f"python -m runner_worker --region {name}", True)
        many = "1 worker is" if workers == 1 else f"{workers} workers are"
        return Sentence(
            name, f"It has been in the queue for {waited}; {many} alive and busy or about to take it.{again}"
        )

    def _unpublished(self, region: Row, again: str) -> Sentence:
        waited = self._since(region["staged_at"])
        if not self._alive("publisher", None):
            text = f"It has waited in the outbox for {waited}, and no publisher is alive.{again}"
            return Sentence(region["region"], text, "python -m outbox_publisher", True)
        if region["publish_attempts"]:
            failed = f"Publishing failed {counted(region['publish_attempts'], 'time')}: {region['publish_error']}."
            text = f"It has waited in the outbox for {waited}. {failed}{again}"
            return Sentence(region["region"], text, "It is tried again by itself; check Redis.", True)
        if (self.now - region["staged_at"]).total_seconds() > UNSENT_SECONDS:
            text = f"It has waited in the outbox for {waited} though a publisher is alive: Redis may be away.{again}"
            return Sentence(region["region"], text, "beacon doctor", True)
        return Sentence(region["region"], f"It has waited in the outbox for {waited}; a publisher is about to send it.")

    def _running(self, region: Row) -> Sentence:
        name = region["region"]
        mine = [row for row in self.rows if row["region"] == name]
        done = sum(row["status"] in ENDED for row in mine)
        calls = "1 call is" if len(mine) == 1 else f"{len(mine)} calls are"
        text = f"{done} of {calls} done after {self._since(region['started_at'])}"
        text += f", attempt {region['attempt']} of {region['max_attempts']}." if region["attempt"] > 1 else "."
        codes = sorted({str((row["error_detail"] or {}).get("code")) for row in mine if row["status"] == "failed"})
        if codes:
            text += f" Errors so far: {', '.join(codes)}."
        if region["lease_expires_at"] and region["lease_expires_at"] < self.now:
            silent = self._since(region["lease_expires_at"])
            text += f" Its worker has been silent and its lease ran out {silent} ago: it is about to be sent again."
            return Sentence(name, text, "", not self._alive("publisher", None))
        if region["deadline"] and region["deadline"] < self.now:
            return Sentence(name, f"{text} It is past its deadline by {self._since(region['deadline'])}.", "", True)
        return Sentence(name, text)

    def _failures(self) -> list[Sentence]:
        """One sentence for each reason, with where it happened."""
        places: dict[tuple[str, str], dict[str, None]] = {}
        for row in self.rows:
            if row["status"] == "failed":
                detail = row["error_detail"] or {}
                reason = (str(detail.get("code", "failed")), str(detail.get("message") or ""))
                places.setdefault(reason, {})[f"{row['model_id']} in {row['region']}"] = None
        return [
            Sentence(code, f"{', '.join(where)}: {message or 'no message'}", "", True)
            for (code, message), where in places.items()
        ]

    def _alive(self, kind: str, region: str | None) -> int:
        return sum(row["alive"] for row in self.alive if row["kind"] == kind and row["region"] == region)

    def _since(self, moment: datetime) -> str:
        return span((self.now - moment).total_seconds())
