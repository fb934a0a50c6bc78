"""The error object of an execution or of a call. Clients read the object as `error_detail`."""

from typing import Any, NamedTuple


class Cause(NamedTuple):
    """Why a unit or a call ended without its provider. `kind` is the error object's type."""

    kind: str
    stage: str
    transient: bool
    message: str


# The causes by code. A call that its provider was asked has its codes in FAULTS (runner_worker/providers/outcomes.py);
# `cancelled` and `timeout` are in both tables.
UNASKED = {
    "cancelled": Cause("system", "cancel", False, "The job was cancelled."),
    "no_provider": Cause("configuration", "waiting", False, "No provider is configured for this model in this region."),
    "queue_timeout": Cause("system", "dispatch", False, "No worker took the region in time."),
    "timeout": Cause("timeout", "waiting", True, "The region's deadline has passed."),
    "undeliverable": Cause("system", "dispatch", False, "The region's message could not be delivered to the queue."),
    "worker_crashed": Cause("system", "dispatch", False, "The region's worker was lost in each of its attempts."),
}


def error_detail(
    code: str,
    kind: str,
    stage: str,
    message: str,
    *,
    transient: bool,
    http_status: int | None = None,
    provider: str | None = None,
) -> dict[str, Any]:
    """Return the error object, without the place of a call."""
    return {
        "code": code,
        "type": kind,
        "stage": stage,
        "message": message,
        "transient": transient,
        "http_status": http_status,
        "provider": provider,
    }


def unasked(code: str, provider: str | None = None) -> dict[str, Any]:
    """Return the error object of a cause. `provider` is the id of the provider that would have been asked."""
    cause = UNASKED[code]
    return error_detail(code, cause.kind, cause.stage, cause.message, transient=cause.transient, provider=provider)


def of_call(error: dict[str, Any], region: str, model: str, timestamp: str) -> dict[str, Any]:
    """Return the error object with the call's region and model, and with the time of the failure (RFC 3339)."""
    return {**error, "region": region, "model": model, "timestamp": timestamp}
