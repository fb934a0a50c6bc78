"""What the API answers, as models: the description of itself is generated from them and from job_shapes.py.

They describe and do not serialise: rows go out as they are read. Every answer may grow fields.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue

from runner_core.statuses import CrossStatus, JobStatus, RegionStatus, ResultStatus


class Problem(BaseModel):
    """An error (RFC 9457); `error_code` is what programs read, `error` repeats the detail."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error: str
    error_code: str


class Accepted(BaseModel):
    """An accepted job; `idempotent` when an earlier request was it."""

    id: str
    job_id: str
    status: JobStatus
    cross_region_execution_id: UUID
    links: dict[str, str]
    idempotent: bool = False


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
    enable_analysis: bool = False
    idempotent: bool = False


class ListedJob(BaseModel):
    """A job in a list; `cross_region_status` is `partial` where it completed in too few regions."""

    id: str
    status: JobStatus
    cross_region_status: CrossStatus
    created_at: datetime
    updated_at: datetime
    regions: list[str]
    models: list[str]


class JobPage(BaseModel):
    """A page of jobs; `next_cursor` asks for the next."""

    jobs: list[ListedJob]
    next_cursor: str | None


class CrossRegion(BaseModel):
    """A job across its regions."""

    id: UUID
    jobspec_id: str
    total_regions: int
    success_count: int
    failure_count: int
    min_regions_required: int
    min_success_rate: float
    status: CrossStatus
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None
    enable_analysis: bool | None


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


class Result(BaseModel):
    """One planned call, or one execution, with what became of it; `id` is null while nothing has."""

    id: int | None
    execution_id: int | None
    job_id: str
    region: str
    model_id: str
    status: ResultStatus
    provider_id: str | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    duration_ms: int | None
    has_receipt: bool
    retry_count: int
    question_id: str | None
    run_no: int = 1
    output: dict[str, JsonValue] | None
    error: str | None
    error_detail: dict[str, JsonValue] | None


class Sentence(BaseModel):
    """Why a region waits, or what went wrong; `serious` will not pass by itself, `remedy` is what to do then."""

    subject: str
    text: str
    remedy: str
    serious: bool


class Job(BaseModel):
    """A job as it stands; `job` is the spec as received.

    `version` changes with its state and its results, not with `waiting`, which tells of workers and of time too.
    """

    id: str
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


class Results(BaseModel):
    """Every planned call of a job."""

    executions: list[Result]


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


class Executions(BaseModel):
    """A page of executions, newest first; `next_cursor` asks for the next."""

    executions: list[Result]
    limit: int
    offset: int
    next_cursor: str | None


class Call(BaseModel):
    """One paid call of an execution with its tries."""

    id: int
    question_id: str | None
    run_no: int
    status: Literal["started", "ok", "failed"]
    provider_id: str | None
    attempt: int
    calls: int
    lost_calls: int
    started_at: datetime
    completed_at: datetime | None
    duration_ms: int | None
    output: dict[str, JsonValue] | None
    error: str | None
    error_detail: dict[str, JsonValue] | None
    errors: list[JsonValue]


class Details(Result):
    """One execution with everything."""

    job_status: JobStatus
    cross_region_execution_id: UUID
    attempt: int
    failed_answers: int
    parameters: dict[str, JsonValue] | None
    answers: list[Call]
    receipt: dict[str, JsonValue] | None


class Receipt(BaseModel):
    """An execution's facts and the SHA-256 of its output, signed by the runner (canonical JSON, Ed25519)."""

    job_id: str
    signature: str


class RegionResult(BaseModel):
    """One planned region."""

    region: str
    status: RegionStatus
    provider_id: str | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None
    execution_output: JsonValue
    error_message: str | None
    scoring: JsonValue
    metadata: dict[str, JsonValue]


class Summary(BaseModel):
    """What a job's results come to."""

    text: str
    completed_units: int
    failed_units: int
    refused_answers: int
    answers: int


class CrossRegionExecution(CrossRegion):
    """The same by itself; `version` is the job's."""

    version: int


class CrossRegionView(BaseModel):
    """A job across its regions, with each of them."""

    cross_region_execution: CrossRegionExecution
    region_results: list[RegionResult]
    summary: Summary


class Question(BaseModel):
    """A question that jobs may ask by its id."""

    id: str
    text: str


class Questions(BaseModel):
    """The catalogue's questions."""

    questions: list[Question]


class CatalogueModel(BaseModel):
    """A model and the regions that can answer it."""

    id: str
    regions: list[str]
    default: bool


class CatalogueModels(BaseModel):
    """The catalogue's models."""

    models: list[CatalogueModel]


class Region(BaseModel):
    """A region, its other names and its models."""

    name: str
    display: str
    aliases: list[str]
    models: list[str]


class Regions(BaseModel):
    """The catalogue's regions."""

    regions: list[Region]


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


class Process(BaseModel):
    """A process of ours."""

    id: str
    kind: Literal["api", "publisher", "worker", "cli"]
    region: str | None
    host: str
    pid: int
    version: str
    regions_sha: str | None
    concurrency: int | None
    started_at: datetime
    seen_at: datetime
    seconds_since: float


class Processes(BaseModel):
    """Every process seen in the last hour."""

    processes: list[Process]


class Republished(BaseModel):
    """The regions that were sent again."""

    ok: Literal[True]
    job_id: str
    regions: list[str]


class OpenApi(BaseModel):
    """This document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
