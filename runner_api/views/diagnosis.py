"""Explain why a job has not ended, or why it failed: one sentence for each reason, with a remedy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runner_api.views import Row
from runner_api.views.failures import failures
from runner_api.views.provider_states import ProviderState, holder_of, provider_states, tells_that_it_lives
from runner_api.views.words import counted, span
from runner_core.statuses import ALIVE_SECONDS, ENDED, OPEN, in_order

# A push that fails as a whole counts against no message, so only the age of a message shows that Redis is away.
UNSENT_SECONDS = 10
SLOW_SECONDS = 10


@dataclass(frozen=True)
class Sentence:
    """One reason. A `serious` reason does not pass by itself; `remedy` is a command, or what to do then."""

    subject: str
    text: str
    remedy: str = ""
    serious: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """A job, its regions with their newest messages, its calls, the processes seen lately, and the present time.

    `key_of`: the name of the variable with a provider's key, by the provider's id.
    """

    job: Row
    regions: Sequence[Row]
    rows: Sequence[Row]
    processes: Sequence[Row]
    now: datetime
    key_of: Callable[[str], str] = lambda _: ""

    def explain(self) -> list[Sentence]:
        """Return a sentence for each region that has not ended, or for each reason of an ended job's failures."""
        if self.job["status"] in OPEN:
            runs = {region["region"]: region for region in self.regions}
            sentences = [self._failed_region(runs[name]) for name in in_order(runs) if self._has_failed(runs[name])]
            sentences += [self._open_region(runs[name]) for name in in_order(runs) if not runs[name]["finished_at"]]
            return sentences + self._too_few_regions()
        return self._failures()

    def _open_region(self, region: Row) -> Sentence:
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
        if absence := self._absence("worker", name, f"worker of {name}", f"python -m runner_worker --region {name}"):
            return Sentence(name, f"It has been in the queue for {waited}, and {absence[0]}.{again}", absence[1], True)
        workers = self._alive("worker", name)
        many = "1 worker is" if len(workers) == 1 else f"{len(workers)} workers are"
        text = f"It has been in the queue for {waited}; {many} alive and busy or about to take it.{again}"
        return Sentence(name, text + self._providers(name, workers))

    def _unpublished(self, region: Row, again: str) -> Sentence:
        waited = self._since(region["staged_at"])
        if absence := self._absence("publisher", None, "publisher", "python -m outbox_publisher"):
            text = f"It has waited in the outbox for {waited}, and {absence[0]}.{again}"
            return Sentence(region["region"], text, absence[1], True)
        if region["publish_attempts"]:
            failed = f"Publishing failed {counted(region['publish_attempts'], 'time')}: {region['publish_error']}."
            text = f"It has waited in the outbox for {waited}. {failed}{again}"
            return Sentence(region["region"], text, "The publisher tries again by itself; check Redis.", True)
        if (self.now - region["staged_at"]).total_seconds() > UNSENT_SECONDS:
            text = f"It has waited in the outbox for {waited} though a publisher is alive: Redis may be down.{again}"
            return Sentence(region["region"], text, "beacon doctor", True)
        return Sentence(region["region"], f"It has waited in the outbox for {waited}; a publisher is about to send it.")

    def _running(self, region: Row) -> Sentence:
        name = region["region"]
        mine = [row for row in self.rows if row["region"] == name]
        done = sum(row["status"] in ENDED for row in mine)
        calls = "1 call is" if len(mine) == 1 else f"{len(mine)} calls are"
        text = f"{done} of {calls} done after {self._since(region['started_at'])}"
        text += f", attempt {region['attempt']} of {region['max_attempts']}." if region["attempt"] > 1 else "."
        if errors := self._errors(name):
            text += f" Errors so far: {errors}."
        holder = holder_of(region["worker"], self._alive("worker", name))
        gone = holder is None and tells_that_it_lives(region["worker"], name)
        if not gone:  # else no call of the region is in flight, and none waits
            text += self._silent_provider(mine, holder) + self._providers(name, [holder] if holder else [])
        if region["lease_expires_at"] and region["lease_expires_at"] < self.now:
            silent = self._since(region["lease_expires_at"])
            text += f" Its worker has been silent and its lease ran out {silent} ago: the region will be sent again."
            return Sentence(name, text, "", not self._alive("publisher", None))
        if gone:
            text += self._lost_worker(region)
        if region["deadline"] and region["deadline"] < self.now:
            return Sentence(name, f"{text} It is past its deadline by {self._since(region['deadline'])}.", "", True)
        return Sentence(name, text)

    def _lost_worker(self, region: Row) -> str:
        """Say that the worker of a running region is not alive, and when another one can take the region."""
        row = holder_of(region["worker"], self._processes("worker", region["region"]))
        who = f": process {row['pid']} on {row['host']} has been silent for {span(row['seconds_since'])}" if row else ""
        again = "the region is sent again when its lease runs out"
        if region["lease_expires_at"]:
            again += f", in {span((region['lease_expires_at'] - self.now).total_seconds())}"
        return f" Its worker is not alive{who}; {again}."

    def _silent_provider(self, rows: Sequence[Row], holder: Row | None) -> str:
        """Say which provider has not answered for longest. A call that waits for its turn was not sent: the provider
        owes no answer to it. `holder`: the process of the region's worker; None if its state is not known."""
        known = holder is not None and holder["providers"] is not None
        states = {(it.provider, it.model): it for it in provider_states([holder] if holder else [])} if known else None
        sent = [(since, row["provider_id"]) for row in rows if (since := _sent_at(row, states))]
        oldest, provider = min(sent, default=(self.now, ""))
        if (self.now - oldest).total_seconds() <= SLOW_SECONDS:
            return ""
        limit = span(self.job["provider_timeout_seconds"])
        return f" {provider} has not answered for {self._since(oldest)}; a call is given up after {limit}."

    def _providers(self, region: str, workers: Sequence[Row]) -> str:
        """Say for which models that the job still needs the calls of these workers wait, and why."""
        needed = {row["model_id"] for row in self.rows if row["region"] == region and row["status"] not in ENDED}
        states = [state for state in provider_states(workers) if state.model in needed]
        return "".join(f" {text}" for state in states if (text := self._waits(state)))

    def _waits(self, state: ProviderState) -> str:
        return state.pause(self.now) or state.queue()

    def _failures(self) -> list[Sentence]:
        """Return one sentence for each code and message, with the models and regions in which it happened."""
        return [
            Sentence(failure.code, f"{failure.places}: {failure.message or 'no message'}", failure.remedy, True)
            for failure in failures(self.rows, self.key_of)
        ]

    def troubled(self) -> bool:
        """Return whether something holds an open job up: a reason that stays, a breaker, a provider without answer."""
        sentences = self.explain()
        marks = (" is paused for ", " gets one call at a time ", " has not answered for ", " is not alive", " ran out ")
        return any(sentence.serious or any(mark in sentence.text for mark in marks) for sentence in sentences)

    def _has_failed(self, region: Row) -> bool:
        return bool(region["finished_at"]) and region["status"] != "success"

    def _failed_region(self, region: Row) -> Sentence:
        return Sentence(
            region["region"], f"It failed: {self._errors(region['region']) or region['last_error']}.", "", True
        )

    def _too_few_regions(self) -> list[Sentence]:
        """Say that too few regions can still succeed, as soon as this is certain."""
        possible = sum(not self._has_failed(region) for region in self.regions)
        needed = self.job["min_regions_required"]
        if possible >= needed:
            return []
        left = f"only {possible} can still succeed" if possible else "none can still succeed"
        return [
            Sentence(
                "Job", f"{counted(needed, 'region')} must succeed, and {left}: the job will end as failed.", "", True
            )
        ]

    def _errors(self, region: str) -> str:
        """Return the error codes of a region's failed calls, each once, with the provider that caused it."""
        failed = [row for row in self.rows if row["region"] == region and row["status"] == "failed"]
        details = [row["error_detail"] or {} for row in failed]
        codes = (f"{d.get('code')} from {d['provider']}" if d.get("provider") else str(d.get("code")) for d in details)
        return ", ".join(sorted(set(codes)))

    def _absence(self, kind: str, region: str | None, name: str, command: str) -> tuple[str, str] | None:
        """Say that no process of this kind is alive, with the remedy; None when one of them is alive."""
        if self._alive(kind, region):
            return None
        known = self._processes(kind, region)
        if not known:
            return f"no {name} is alive", command
        last = min(known, key=lambda row: row["seconds_since"])
        silent = f"process {last['pid']} on {last['host']} has been silent for {span(last['seconds_since'])}"
        remedy = f"kill -9 {last['pid']} if it hangs: its supervisor starts it again; without a supervisor, {command}"
        return f"no {name} is alive: {silent}", remedy

    def _alive(self, kind: str, region: str | None) -> list[Row]:
        return [row for row in self._processes(kind, region) if row["seconds_since"] < ALIVE_SECONDS]

    def _processes(self, kind: str, region: str | None) -> list[Row]:
        return [row for row in self.processes if row["kind"] == kind and row["region"] == region]

    def _since(self, moment: datetime) -> str:
        return span((self.now - moment).total_seconds())


def _sent_at(row: Row, states: Mapping[tuple[str, str], ProviderState] | None) -> datetime | None:
    """Return the earliest time at which a call can have been sent; None if it was not sent or has ended.

    `states`: the worker's states by provider and model; None if the worker tells none.
    """
    started: datetime | None = row["started_at"]
    if row["status"] != "running" or not row["provider_id"] or started is None:
        return None
    if states is None:
        return started
    state = states.get((row["provider_id"], row["model_id"]))
    if state is None or state.since is None or state.open_until is not None:
        return None
    return max(started, state.since)
