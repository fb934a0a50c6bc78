"""What the API answers about jobs, and the bodies of actions on them.

The models describe and do not serialise: rows go out as they are read. Every answer may grow fields.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue

from runner_api.contract.execution_schemas import CrossRegion, Result
from runner_core.statuses import CrossStatus, JobStatus


class Accepted(BaseModel):
    """An accepted job; `idempotent` when an earlier request was it.

    `ignored`: the paths of members that look like parameters and stand where nothing reads them; absent when none do.
    """

    id: str
    job_id: str
    status: JobStatus
    cross_region_execution_id: UUID
    links: dict[str, str]
    idempotent: bool = False
    ignored: list[str] = []


class CrossRegionAccepted(BaseModel):
    """The same, as cross-region clients know it."""

    id: str
    job_id: str
    jobspec_id: str
    cross_region_execution_id: UUID
    total_regions: int
    min_regions: int
    status: JobStatus
    submitted_at: datetime
    enable_analysis: bool = Field(True, description="absent: the request did not say, and the job is analysed")
    idempotent: bool = False
    ignored: list[str] = []


class ListedJob(BaseModel):
    """A job in a list; `cross_region_status` is `partial` where it completed in too few regions.

    `name`: the benchmark's, at most 200 characters; null, and `submitter` too, for a job of an earlier release until
    the publisher has filled it in. `failed_units`: of an ended job, how many of its units failed.
    """

    id: str
    status: JobStatus
    cross_region_status: CrossStatus
    created_at: datetime
    updated_at: datetime
    regions: list[str]
    models: list[str]
    name: str | None
    submitter: str | None
    failed_units: int | None


class JobPage(BaseModel):
    """A page of jobs; `next_cursor` asks for the next."""

    jobs: list[ListedJob]
    next_cursor: str | None


class Answers(BaseModel):
    """Answers planned (`total`) and come (`done`), and the requests sent to providers for them, repeated ones too."""

    total: int
    done: int
    calls: int


class Progress(BaseModel):
    """Units (one model in one region) by state."""

    total: int
    completed: int
    failed: int
    cancelled: int
    running: int
    pending: int
    answers: Answers


class Sentence(BaseModel):
    """Why a region waits, or what went wrong; `serious` will not pass by itself, `remedy` is what to do then."""

    subject: str
    text: str
    remedy: str
    serious: bool


class Job(BaseModel):
    """A job as it stands; `job` is the spec as received.

    `version` changes with its state and its results, not with `progress.answers`, which counts stored
    answers, and not with `waiting`, which depends on workers and time. `name` is the benchmark's, at most 200
    characters; `submitter` who submitted: the name of a key or a token, null where it is not known.
    """

    id: str
    name: str | None
    submitter: str | None
    status: JobStatus
    job: dict[str, JsonValue]
    cross_region: CrossRegion
    progress: Progress
    version: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    waiting: list[Sentence]
    executions: list[Result] = []


class Event(BaseModel):
    """One thing that happened to a job."""

    seq: int
    type: str
    region: str | None
    model_id: str | None
    actor: str
    detail: dict[str, JsonValue]
    at: datetime


class Timeline(BaseModel):
    """What happened to a job, in order."""

    job_id: str
    status: JobStatus
    version: int
    events: list[Event]


class Action(BaseModel):
    """The body of cancel and retry, empty with an administrator's token; else signed by the job's own key."""

    action: Literal["cancel", "retry"] | None = None
    job_id: str | None = None
    timestamp: str | None = None
    nonce: str | None = None
    signature: str | None = None
    public_key: str | None = None


class Cancelled(BaseModel):
    """A cancellation; `executions_cancelled` counts the units that had no result yet."""

    ok: Literal[True]
    job_id: str
    previous_status: JobStatus
    new_status: Literal["cancelled"]
    executions_cancelled: int
    cancelled_at: datetime


class RetryAction(Action):
    """Which failed units to run again; all of them when none is named."""

    region: str | None = Field(None, min_length=1, max_length=255)
    model_id: str | None = Field(None, min_length=1, max_length=255)
    question_id: str | None = Field(None, min_length=1, max_length=255)


class Unit(BaseModel):
    """One model in one region."""

    region: str
    model_id: str


class Retried(BaseModel):
    """What runs once more."""

    ok: Literal[True]
    job_id: str
    status: Literal["running"]
    retried: list[Unit]
