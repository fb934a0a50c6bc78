"""Tell a job's events in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runner_api.views import Row
from runner_api.views.words import counted
from runner_core.statuses import sign

TITLES = {
    "submitted": "Submitted",
    "region_staged": "Sent again",
    "region_claimed": "Taken by a worker",
    "region_released": "Handed back",
    "lease_expired": "Worker lost",
    "execution_recorded": "Result",
    "region_finished": "Region finished",
    "cancel_requested": "Cancel requested",
    "retry_requested": "Retry requested",
    "job_running": "Job running",
    "job_completed": "Job completed",
    "job_failed": "Job failed",
    "job_cancelled": "Job cancelled",
}
REASONS = {
    "lease_expired": "its worker was lost",
    "message_lost": "Redis no longer had its message",
    "released": "its worker was stopped",
    "retry": "as a retry",
    "republished": "by an operator",
}


@dataclass(frozen=True)
class Moment:
    """One event: its title, its region and model, a text about it, and the state that its sign shows."""

    seq: int
    at: datetime
    after: float
    title: str
    where: str
    text: str
    state: str


def moments(events: list[Row], began: datetime, outcomes: Mapping[str, str]) -> list[Moment]:
    """Return the events, newest first. `began` is the submission's time; `outcomes` has each ended region's status."""
    last = {event["region"]: event["seq"] for event in events if event["type"] == "region_finished"}
    # The event of a finished region counts completed units only. The last such event shows the present outcome.
    known = {last[region]: outcome for region, outcome in outcomes.items() if region in last}
    return [_moment(event, began, known.get(event["seq"])) for event in reversed(events)]


def _moment(event: Row, began: datetime, outcome: str | None) -> Moment:
    where = " · ".join(part for part in (event["region"], event["model_id"]) if part)
    return Moment(
        event["seq"],
        event["at"],
        max(0.0, (event["at"] - began).total_seconds()),
        "Region cancelled" if outcome == "cancelled" else TITLES.get(event["type"], event["type"].replace("_", " ")),
        where,
        _text(event["type"], event["detail"] or {}, event["actor"]),
        sign(outcome) if outcome else _state(event),
    )


def _text(kind: str, detail: dict[str, Any], actor: str) -> str:
    match kind:
        case "submitted":
            form = f"signature form {detail['form']}" if detail.get("form") else "unsigned"
            return f"by {actor}, {form}, {counted(detail.get('units') or 0, 'unit')}"
        case "region_claimed":
            return f"attempt {detail.get('attempt')}, {detail.get('worker')}"
        case "region_staged":
            return REASONS.get(str(detail.get("reason")), str(detail.get("reason") or ""))
        case "region_released":
            return "after calls had begun" if detail.get("call_begun") else "before its first call: no attempt counted"
        case "execution_recorded":
            return " · ".join(dict.fromkeys(str(detail[name]) for name in ("status", "code") if detail.get(name)))
        case "region_finished":
            attempt = f", attempt {detail['attempt']}" if detail.get("attempt") else ""
            return f"{detail.get('completed')} of {counted(detail.get('units') or 0, 'unit')} completed{attempt}"
        case "cancel_requested":
            return f"by {actor}"
        case "retry_requested":
            units = detail.get("units") or []
            code = f", what failed with {detail['code']}" if detail.get("code") else ""
            return f"by {actor}{code}: {', '.join(_replaced(unit) for unit in units)}"
        case "job_completed" | "job_failed" | "job_cancelled" | "job_running" if "regions" in detail:
            return f"{detail.get('succeeded')} of {counted(detail['regions'], 'region')} succeeded"
    return ""


def _replaced(unit: dict[str, Any]) -> str:
    """Return the text for a unit that runs again: its model, its region and its earlier error code."""
    error = (unit.get("earlier") or {}).get("error") or {}
    return f"{unit.get('model_id')} in {unit.get('region')}" + (f" ({error['code']})" if error.get("code") else "")


def _state(event: Row) -> str:
    kind, detail = event["type"], event["detail"] or {}
    if kind == "execution_recorded":
        return str(detail.get("status") or "pending")
    if kind == "region_finished":
        return "completed" if detail.get("completed") else "failed"
    return {
        "region_claimed": "running",
        "job_running": "running",
        "lease_expired": "failed",
        "job_completed": "completed",
        "job_failed": "failed",
        "job_cancelled": "cancelled",
        "cancel_requested": "cancelled",
        "retry_requested": "running",
    }.get(kind, "pending")
