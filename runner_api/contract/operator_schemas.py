"""What the API answers operators: health, outbox, queues, stuck jobs, processes.

The models describe and do not serialise: rows go out as they are read. Every answer may grow fields.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from runner_core.statuses import JobStatus


class Part(BaseModel):
    """The database, or one kind of process."""

    name: str
    status: Literal["healthy", "down"]
    latency_ms: float | None
    processes: int | None = None
    error_code: str | None = None
    note: str | None = None


class Health(BaseModel):
    """How the whole system does."""

    service: Literal["beacon-runner"]
    version: str
    status: Literal["healthy", "degraded", "down"]
    services: list[Part]
    regions_file_sha256: str


class State(BaseModel):
    """One word about this process."""

    status: Literal["alive", "ready"]


class OutboxRow(BaseModel):
    """A message that waits, or that was given up."""

    id: int
    job_id: str
    topic: str
    created_at: datetime
    attempts: int
    last_error: str | None
    available_at: datetime | None = None
    dead_at: datetime | None = None


class Outbox(BaseModel):
    """Messages that wait to be published; a number of 10,000 means at least as many."""

    waiting: int
    dead: int
    oldest_seconds: float
    rows: list[OutboxRow]


class Dead(BaseModel):
    """Messages that could not be delivered."""

    rows: list[OutboxRow]


class Queue(BaseModel):
    """One region's runs and workers."""

    region: str
    queue: str
    depth: int
    running: int
    oldest_seconds: float | None
    workers: int


class Queues(BaseModel):
    """Every region; a depth of 10,000 means at least as many."""

    queues: list[Queue]


class StuckJob(BaseModel):
    """A job that waits too long or runs past its deadline."""

    id: str
    status: JobStatus
    created_at: datetime
    started_at: datetime | None
    queued_until: datetime | None
    deadline: datetime | None
    reason: Literal["queued", "overdue"]


class Stuck(BaseModel):
    """Jobs that an operator should look at."""

    jobs: list[StuckJob]


class ProviderState(BaseModel):
    """A model of a provider in one worker. `width`: how many calls the provider takes at once, of all its models.

    `in_flight` counts the calls that were sent and have no answer, `waiting` those that were not sent. `open_until` is
    null while the breaker is closed; when the time is over, one call decides whether the breaker closes.
    """

    provider: str
    model: str
    in_flight: int
    in_flight_since: datetime | None
    width: int
    waiting: int
    failures: int
    open_until: datetime | None
    last_code: str | None


class Process(BaseModel):
    """A process of ours."""

    id: str
    kind: Literal["api", "publisher", "worker", "analyst", "cli"]
    region: str | None
    host: str
    pid: int
    version: str
    regions_sha: str | None
    concurrency: int | None
    started_at: datetime
    seen_at: datetime
    seconds_since: float
    providers: list[ProviderState] | None


class Processes(BaseModel):
    """Every process seen in the last hour."""

    processes: list[Process]


class Republished(BaseModel):
    """The regions that were sent again."""

    ok: Literal[True]
    job_id: str
    regions: list[str]
