"""The shapes of the API's answers: what each command relies on, checked before it is used.

Whatever answers at the address may be another service, a gateway's page or an API of another release. A shape is a type
or a tuple of types; a list of one shape; a dictionary of the fields that must be there (`name?`: may be missing or
null); or a function that says whether a value fits. Fields that nobody asked for are welcome.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from runner_core.statuses import ENDED

Shape = type | tuple[type, ...] | list[Any] | dict[str, Any] | Callable[[Any], bool]


def fits(value: object, shape: Shape) -> bool:
    """Whether `value` has this shape."""
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(_has(value, name, part) for name, part in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, type | tuple):
        return isinstance(value, shape)
    return shape(value)


def _has(value: dict[str, Any], name: str, shape: Shape) -> bool:
    if not name.endswith("?"):
        return name in value and fits(value[name], shape)
    found = value.get(name[:-1])
    return found is None or fits(found, shape)


def is_time(value: object) -> bool:
    """Whether it is an RFC 3339 time with a zone."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def is_job(value: object) -> bool:
    """Whether it is one job as GET /jobs/{id} gives it; one that has ended says when."""
    return isinstance(value, dict) and fits(value, _JOB) and (_is_open(value) or is_time(value.get("completed_at")))


def _is_open(job: dict[str, Any]) -> bool:
    return job["status"] not in ENDED


NUMBER = (int, float)
ROW: Shape = {
    "region": str,
    "model_id": str,
    "status": str,
    "id?": int,
    "question_id?": str,
    "run_no?": int,
    "execution_id?": int,
    "output?": dict,
    "error?": str,
    "error_detail?": dict,
    "duration_ms?": NUMBER,
    "answered_ms?": NUMBER,
    "waited_ms?": NUMBER,
    "paid?": str,
    "served?": dict,
    "sent?": dict,
    "errors?": [dict],
    "retry_count?": int,
}
_JOB: Shape = {
    "id": str,
    "name?": str,
    "status": str,
    "version": int,
    "created_at": is_time,
    "completed_at?": is_time,
    "job?": dict,
    "progress": {"total": int, "completed": int, "failed": int, "answers?": {"done": int, "total": int}},
    "cross_region?": {
        "status?": str,
        "duration_ms?": NUMBER,
        **{
            f"{name}?": NUMBER
            for name in ("success_count", "total_regions", "min_regions_required", "min_success_rate")
        },
    },
    "waiting": [{"subject": str, "text": str, "remedy": str}],
    "executions?": [ROW],
}
JOBS: Shape = {
    "jobs": [
        {
            "id": str,
            "status": str,
            "created_at": is_time,
            "regions": [str],
            "models": [str],
            "name?": str,
            "failed_units?": int,
        }
    ],
    "next_cursor?": str,
}
EVENTS: Shape = {"events": [{"seq": int, "type": str, "at": is_time, "region?": str, "model_id?": str, "actor": str}]}
ACCEPTED: Shape = {"job_id": str, "idempotent?": bool, "cross_region_execution_id": str, "ignored?": [str]}
CANCELLED: Shape = {"job_id": str, "previous_status": str, "executions_cancelled": int}
RETRIED: Shape = {"retried": [{"region": str, "model_id": str}]}
HEALTH: Shape = {"version": str, "status": str, "services": [{"name": str, "status": str}]}
MODELS: Shape = {"models": [{"id": str, "regions": [str]}]}
QUESTIONS: Shape = {"questions": [{"id": str}]}
ACROSS: Shape = {
    "cross_region_execution": {"status": str, "success_count": int},
    "region_results": [{"region": str}],
}
RECEIPT: Shape = dict
MESSAGES: Shape = {"rows": [{"id": int, "job_id": str}]}
