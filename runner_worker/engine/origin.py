"""What a region run keeps of its claim: the ids of its job, and the moment of the claim."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner_core.telemetry import about


@dataclass(frozen=True)
class Origin:
    """Where a run's job comes from: the ids that go into log lines and into requests to providers."""

    job_id: str
    request_id: str
    traceparent: str

    @property
    def about(self) -> dict[str, Mapping[str, str]]:
        """Return the argument `extra` for a log line about the job."""
        return about(self.traceparent, job_id=self.job_id, request_id=self.request_id)


@dataclass(frozen=True)
class Clock:
    """The moment of a claim: by the database's clock, and as seconds of this process's time.monotonic()."""

    started_at: datetime
    claimed_at: float

    def at(self, moment: float) -> datetime:
        """Convert a moment of time.monotonic() to the database's time: the worker's own clock may be wrong."""
        return self.started_at + timedelta(seconds=moment - self.claimed_at)
