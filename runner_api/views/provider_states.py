"""Merges the states that live workers tell of their providers: the calls that wait, and the open breakers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from runner_api.views import Row
from runner_api.views.words import counted, time_of_day
from runner_core.statuses import ALIVE_SECONDS, in_order


@dataclass(frozen=True)
class ProviderState:
    """One model of a provider, over the live workers of a region that tell their states.

    `width`: how many calls those workers may send to the provider at once, of all its models. `open_until`: when the
    last open breaker begins to let calls pass; None if every breaker is closed. `open_in`: the number of workers whose
    breaker is open. `since`: the start of the oldest call in flight.
    """

    region: str
    provider: str
    model: str
    in_flight: int
    width: int
    waiting: int
    failures: int
    open_until: datetime | None
    open_in: int
    workers: int
    last_code: str | None
    since: datetime | None

    def breaker(self, now: datetime) -> str:
        """Return the breaker's state: `closed`, `open`, or `half open`: one call decides whether it closes."""
        if self.open_until is None:
            return "closed"
        return "open" if self.open_until > now else "half open"

    def pause(self, now: datetime) -> str:
        """Say that calls to the model are paused, and why; empty if the breaker is closed."""
        if self.open_until is None:
            return ""
        where = f" in {self.open_in} of {self.workers} workers" if self.open_in < self.workers else ""
        last = f" (last {self.last_code})" if self.last_code else ""
        why = f"after {counted(self.failures, 'failure')}{last}"
        if self.open_until > now:
            text = f"{self.provider} is paused for {self.model}{where} until {time_of_day(self.open_until)} {why}"
        else:
            text = f"{self.provider} gets one call at a time for {self.model}{where} {why}"
        return f"{text}; {self._wait()}." if self.waiting else f"{text}."

    def queue(self) -> str:
        """Say that calls to the model wait while its breaker is closed; empty if none wait."""
        if self.open_until is not None or not self.waiting:
            return ""
        calls = counted(self.in_flight, "call")
        return f"{self.provider} has {calls} of {self.model} in flight and takes {self.width} at once; {self._wait()}."

    def _wait(self) -> str:
        return "1 call waits" if self.waiting == 1 else f"{self.waiting:,} calls wait"


def provider_states(processes: Iterable[Row]) -> list[ProviderState]:
    """Return the states that live workers tell, merged by region, provider and model. `processes`: reads.processes."""
    telling = [row for row in processes if row["seconds_since"] < ALIVE_SECONDS and row["providers"] is not None]
    workers: dict[str, int] = {}
    found: dict[tuple[str, str, str], list[Row]] = {}
    for process in telling:
        region = process["region"] or ""
        workers[region] = workers.get(region, 0) + 1
        for told in process["providers"]:
            found.setdefault((region, told["provider"], told["model"]), []).append(told)
    merged = [_merged(*key, told, workers[key[0]]) for key, told in found.items()]
    order = in_order(workers)
    return sorted(merged, key=lambda it: (order.index(it.region), it.provider, it.model))


def holder_of(name: str | None, processes: Iterable[Row]) -> Row | None:
    """Return the process of the worker with this name (`us-HOST-PID-RANDOM`), or None if it is not among them."""
    return next((row for row in processes if (name or "").startswith(name_prefix(row))), None)


def tells_that_it_lives(name: str | None, region: str) -> bool:
    """Return whether the worker with this name has a row in `processes` while it lives. RQ's own program has none."""
    return (name or "").startswith(f"{region.lower()}-")


def name_prefix(process: Row) -> str:
    """Return the beginning of a worker's name: its region, host and process id."""
    return f"{(process['region'] or '').lower()}-{process['host'].replace(':', '-')}-{process['pid']}-"


def _merged(region: str, provider: str, model: str, told: list[Row], workers: int) -> ProviderState:
    ends = [time for state in told if (time := _time(state["open_until"]))]
    starts = [time for state in told if (time := _time(state["in_flight_since"]))]
    worst = max(told, key=lambda state: (state["open_until"] is not None, state["failures"]))
    return ProviderState(
        region=region,
        provider=provider,
        model=model,
        in_flight=sum(state["in_flight"] for state in told),
        width=worst["width"] * workers,
        waiting=sum(state["waiting"] for state in told),
        failures=worst["failures"],
        open_until=max(ends, default=None),
        open_in=len(ends),
        workers=workers,
        last_code=worst["last_code"],
        since=min(starts, default=None),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
