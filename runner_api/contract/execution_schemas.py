"""What the API answers about executions: results and receipts, and how a job stands across its regions.

The models describe and do not serialise: rows go out as they are read. Every answer may grow fields.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue

from runner_core.statuses import CrossStatus, JobStatus, ResultStatus


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


class Served(BaseModel):
    """Who answered, as the provider says; a member is missing where the provider does not say."""

    model: str = ""
    fingerprint: str = ""
    service_tier: str = ""
    upstream: str = ""
    geography: str = ""
    request_id: str = ""


class Identity(BaseModel):
    """The members of `served` that say who answered; a member is missing where no answer says."""

    model: str = ""
    fingerprint: str = ""
    upstream: str = ""
    geography: str = ""


# What a provider is asked with has the names of its protocol; what it told has members only where there is any.
Sent = Annotated[
    dict[str, JsonValue] | None,
    Field(description="The parameters as sent; null for a call that was not sent, or of an earlier release."),
]
Output = Annotated[
    dict[str, JsonValue] | None,
    Field(
        description="`response` is the answer's text, `served` who answered (null of an earlier release). Only where "
        "there is any: `thoughts`, the model's reasoning; `filter`, `input` or `output`, where the provider's filter "
        "blocked the prompt or the answer, with `filter_words`, what the filter said, and `partial`, what had arrived; "
        "`other_parts`, the types of parts that are no text; `token_limit`, where the text ends at the limit."
    ),
]
Waited = Annotated[
    int | None, Field(description="Milliseconds from the call's beginning to the request of the successful try.")
]
Answered = Annotated[int | None, Field(description="Milliseconds that the successful try alone took.")]
Paid = Annotated[
    Literal["no", "maybe", "yes"] | None, Field(description="Whether the call was paid for; null if not known.")
]
QuestionKey = Annotated[
    str, Field(description="The question's id; `prompt` for a job without questions, whose question_id is null.")
]


class Outcome(BaseModel):
    """What became of a planned call or of an execution; `id` is null while nothing has."""

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
    output: Output
    error: str | None
    error_detail: dict[str, JsonValue] | None


class Result(Outcome):
    """One planned call."""

    question_key: QuestionKey
    served: Served | None
    sent: Sent
    waited_ms: Waited
    answered_ms: Answered
    paid: Paid
    errors: Annotated[list[JsonValue], Field(description="The error objects of the tries that failed before.")]


class Execution(Outcome):
    """One execution: one model in one region."""

    served: Annotated[list[Identity] | None, Field(description="The different models that served its answers.")]
    answered_ms: Annotated[int | None, Field(description="The mean of its answers' answered_ms.")]


class Results(BaseModel):
    """Every planned call of a job."""

    executions: list[Result]


class Executions(BaseModel):
    """A page of executions, newest first; `next_cursor` asks for the next."""

    executions: list[Execution]
    limit: int
    offset: int
    next_cursor: str | None


class Call(BaseModel):
    """One paid call of an execution with its tries."""

    id: int
    question_id: str | None
    question_key: QuestionKey
    run_no: int
    status: Literal["started", "ok", "failed"]
    provider_id: str | None
    attempt: int
    calls: int
    lost_calls: int
    started_at: datetime
    completed_at: datetime | None
    duration_ms: int | None
    waited_ms: Waited
    answered_ms: Answered
    paid: Paid
    served: Served | None
    sent: Sent
    output: Output
    error: str | None
    error_detail: dict[str, JsonValue] | None
    errors: list[JsonValue]


class Details(Execution):
    """One execution with everything."""

    job_status: JobStatus
    cross_region_execution_id: UUID
    attempt: int
    failed_answers: int
    parameters: dict[str, JsonValue] | None
    answers: list[Call]
    receipt: dict[str, JsonValue] | None


class Receipt(BaseModel):
    """An execution's facts and the SHA-256 of its output, signed by the runner (canonical JSON, Ed25519).

    A receipt of version 1 has no member `version`, and does not name who answered."""

    job_id: str
    signature: str
    version: int = 1
    served: list[Identity] = []
    parameters_sha256: str = ""
    regions_sha256: str = ""
