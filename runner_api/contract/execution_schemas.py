"""What the API answers about executions: results, receipts, the cross-region view.

The models describe and do not serialise: rows go out as they are read. Every answer may grow fields.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, JsonValue

from runner_core.statuses import CrossStatus, JobStatus, RegionStatus, ResultStatus


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


class Results(BaseModel):
    """Every planned call of a job."""

    executions: list[Result]


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
