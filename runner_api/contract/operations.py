"""The parameters, answers and errors of every route, for the API's description of itself.

The text of an operation is the docstring of its view. A test fails for a route that is missing here.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from runner_api.contract.analysis_schemas import AddedLabel, Analysis, LabelBody, Labels, Method
from runner_api.contract.catalogue_schemas import CatalogueModels, Questions, Regions
from runner_api.contract.cross_region_schemas import CrossRegionView
from runner_api.contract.error_schemas import OpenApi
from runner_api.contract.execution_schemas import Details, Executions, Receipt, Results
from runner_api.contract.job_schemas import (
    Accepted,
    Action,
    Cancelled,
    CrossRegionAccepted,
    Job,
    JobPage,
    Retried,
    RetryAction,
    Timeline,
)
from runner_api.contract.operator_schemas import Dead, Health, Outbox, Processes, Queues, Republished, State, Stuck
from runner_core.job_shapes import CrossRegionRequest, JobSpec
from runner_core.statuses import JOB_STATES

Schema = dict[str, Any]
INTEGER: Schema = {"type": "integer"}
NAME: Schema = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,255}$"}
METHOD_NAME: Schema = {"type": "string", "pattern": "^[A-Za-z0-9._:+-]+(/[A-Za-z0-9._:+-]+)*$", "maxLength": 255}
VERSION: Schema = {**INTEGER, "minimum": 0, "maximum": 2**53 - 1}
KEY: Schema = {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"}
TRACE: Schema = {"type": "string"}
EVENT_STREAM = "text/event-stream"


def integer(low: int, high: int, default: int | None = None) -> Schema:
    """Return the schema of an integer parameter."""
    return {**INTEGER, "minimum": low, "maximum": high} | ({} if default is None else {"default": default})


@dataclass(frozen=True)
class Operation:
    """One route. `answers` by status: a model, a content type, or None for no body. `errors` are problem+json."""

    tag: str
    answers: dict[int, type[BaseModel] | str | None]
    errors: tuple[int, ...] = ()
    body: type[BaseModel] | None = None
    body_required: bool = True
    query: dict[str, Schema] = field(default_factory=dict)
    headers: dict[str, Schema] = field(default_factory=dict)
    admin: bool = False
    stream: bool = False
    reads: bool = True  # where READ_TOKENS is set, reading needs a token


PAGE = integer(1, 200, 50)
TEXT: Schema = {"type": "string", "maxLength": 255}
CURSOR: Schema = {"type": "string", "description": "an earlier answer's next_cursor"}
FAR = "rows to skip; a larger number is refused as offset_too_large: use cursor instead"
POSTING = (400, 401, 403, 409, 413, 415, 422, 503)
KEYED = {"Idempotency-Key": KEY, "traceparent": TRACE}

OPERATIONS: dict[str, Operation] = {
    "api.submissions.post_job": Operation(
        "jobs", {202: Accepted, 200: Accepted}, POSTING, JobSpec, headers=KEYED, reads=False
    ),
    "api.submissions.post_cross_region": Operation(
        "jobs",
        {202: CrossRegionAccepted, 200: CrossRegionAccepted},
        POSTING,
        CrossRegionRequest,
        headers=KEYED,
        reads=False,
    ),
    "api.jobs.list_jobs": Operation(
        "jobs",
        {200: JobPage},
        (422, 503),
        query={
            "limit": PAGE,
            "status": {"type": "string", "enum": ["", *JOB_STATES]},
            "state": {
                "type": "string",
                "enum": ["", *JOB_STATES],
                "description": "as status, but completed finds no partial jobs",
            },
            "q": {**TEXT, "description": "how the job's name begins, in any case, or its id, also without `job-`"},
            "failures": {"type": "string", "enum": ["", "1"], "description": "1: only jobs with failed units"},
            "model": TEXT,
            "region": TEXT,
            "submitter": TEXT,
            "since": {**TEXT, "description": "a time of ISO 8601, or how long ago: 90m, 24h, 7d"},
            "cursor": CURSOR,
        },
    ),
    "api.jobs.get_job": Operation(
        "jobs",
        {200: Job, 304: None},
        (404, 422, 503),
        query={
            "include": {"type": "string", "enum": ["", "executions"]},
            "wait": {**integer(0, 60, 0), "description": "seconds; needs If-None-Match or after"},
            "after": {**VERSION, "description": "the version that the client has"},
        },
        headers={"If-None-Match": {"type": "string"}},
    ),
    "api.jobs.get_rows": Operation("jobs", {200: Results}, (404, 503)),
    "api.jobs.get_events": Operation(
        "jobs",
        {200: Timeline},
        (404, 422, 503),
        query={"after": VERSION, "limit": integer(1, 10_000, 1000)},
        headers={
            "Last-Event-ID": {
                "anyOf": [VERSION, {"const": ""}],
                "description": "the client's last event; the stream continues after it",
            }
        },
        stream=True,
    ),
    "api.analysis.get_analysis": Operation(
        "analysis",
        {200: Analysis, 304: None},
        (404, 422, 503),
        query={
            "method": {
                "type": "string",
                "pattern": "^[A-Za-z0-9._:+/ -]{0,255}$",
                "description": "the id of a method; without it, the newest analysis by any",
            },
            "at": {
                "type": "string",
                "pattern": "^([0-9a-f]{64})?$",
                "description": "the input_sha256 of an analysis; without it, the newest one",
            },
        },
        headers={"If-None-Match": {"type": "string"}},
    ),
    "api.methods.get_method": Operation(
        "analysis", {200: Method, 304: None}, (404,), headers={"If-None-Match": {"type": "string"}}
    ),
    "api.labels.list_labels": Operation(
        "analysis",
        {200: Labels},
        (404, 422, 503),
        query={
            "limit": integer(1, 1000, 1000),
            "after": {**integer(0, 10**18 - 1, 0), "description": "an earlier answer's next_after"},
        },
    ),
    "api.labels.add_label": Operation(
        "analysis", {201: AddedLabel}, (400, 404, 413, 415, 422, 503), LabelBody, admin=True, reads=False
    ),
    "api.actions.cancel": Operation(
        "jobs", {200: Cancelled}, (*POSTING, 404), Action, body_required=False, admin=True, reads=False
    ),
    "api.actions.retry": Operation(
        "jobs", {202: Retried}, (*POSTING, 404), RetryAction, body_required=False, admin=True, reads=False
    ),
    "api.executions.list_executions": Operation(
        "executions",
        {200: Executions},
        (400, 422, 503),
        query={"limit": PAGE, "offset": {**integer(0, 10_000, 0), "description": FAR}, "cursor": CURSOR},
    ),
    "api.executions.get_details": Operation("executions", {200: Details}, (404, 503)),
    "api.executions.get_receipt": Operation("executions", {200: Receipt}, (404, 503)),
    "api.executions.get_cross_region": Operation("executions", {200: CrossRegionView}, (404, 503)),
    "api.catalogue.questions": Operation("catalogue", {200: Questions}),
    "api.catalogue.models": Operation("catalogue", {200: CatalogueModels}),
    "api.catalogue.regions": Operation("catalogue", {200: Regions}),
    "api.docs.document": Operation("catalogue", {200: OpenApi}),
    "docs.page": Operation("catalogue", {200: "text/html"}, reads=False),
    "health.health": Operation("health", {200: Health, 503: Health}, reads=False),
    "health.live": Operation("health", {200: State}, reads=False),
    "health.ready": Operation("health", {200: State}, (503,), reads=False),
    "metrics.metrics": Operation("health", {200: "text/plain"}, reads=False),
    "admin.outbox": Operation("admin", {200: Outbox}, (422, 503), query={"limit": PAGE}, admin=True),
    "admin.queues": Operation("admin", {200: Queues}, (503,), admin=True),
    "admin.stuck": Operation("admin", {200: Stuck}, (422, 503), query={"limit": PAGE}, admin=True),
    "admin.processes": Operation("admin", {200: Processes}, (503,), admin=True),
    "admin.dead": Operation("admin", {200: Dead}, (422, 503), query={"limit": PAGE}, admin=True),
    "admin.republish_message": Operation("admin", {202: Republished}, (404, 409, 503), admin=True),
    "admin.republish": Operation("admin", {202: Republished}, (404, 409, 503), admin=True),
}
