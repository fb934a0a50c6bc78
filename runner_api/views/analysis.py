"""The analysis of a job as the API and the pages show it: its state, its document, its tag. No I/O.

`row` is everywhere a row of the statement analyses.newest, from `runner_core.store.analyses.newest`.
"""

import hashlib
from typing import Any, Literal
from urllib.parse import quote

from runner_api.views import Row
from runner_core.statuses import OPEN

State = Literal["ready", "pending", "off", "one_region"]
STATES: tuple[State, ...] = ("ready", "pending", "off", "one_region")

RUNS = "The job still runs. Its regions are compared when it has ended."
COMPUTING = "The comparison is being computed."
AGAIN = "The comparison is being computed again: the job has changed since the last one, by a retry or by a label."
NOT_WANTED = "The job was submitted with enable_analysis: false, so its regions are not compared."
CANCELLED = "The job was cancelled. A cancelled job is described and not tested: look at its answers."
TOO_OLD = "The job ended before this database kept comparisons. A retry or a label of one of its answers starts one."
ONE_REGION = "No model of this job was asked in two regions, so there is nothing to compare."


def is_current(row: Row) -> bool:
    """Return whether the row's analysis is of the job's present state: its version with its newest label."""
    return bool(
        row["method"] is not None
        and row["job_status"] not in OPEN
        and (row["of_version"], row["of_label"]) == (row["job_version"], row["label_id"])
    )


def state_of(row: Row) -> tuple[State, str]:
    """Return the state of a job's analysis, and a sentence that tells why there is none; "" if it is ready."""
    if is_current(row):
        return "ready", ""
    if not row["compared"]:
        return "one_region", ONE_REGION
    if row["enable_analysis"] is False:
        return "off", NOT_WANTED
    if row["job_status"] == "cancelled":
        return "off", CANCELLED
    if row["job_status"] in OPEN:
        return "pending", RUNS
    if row["method"] is not None:
        return "pending", AGAIN
    return ("off", TOO_OLD) if row["too_old"] and not row["label_id"] else ("pending", COMPUTING)


def document(row: Row, *, asked: bool = False) -> dict[str, Any]:
    """Return the JSON object of a job's analysis.

    If it is ready, the analysis' whole result is in it. Otherwise there is no number in it, and `previous` names the
    newest analysis of an earlier state. With `asked` the row's analysis is the one that the client named: it is ready,
    and `current` says whether it is of the job's present state.
    """
    state, text = ("ready", "") if asked and row["method"] is not None else state_of(row)
    if state == "ready":
        return {**_origin(row), "state": state, "current": is_current(row), **row["result"]}
    return {
        "job_id": row["job_id"],
        "state": state,
        "text": text,
        "job_version": row["job_version"],
        "label_id": row["label_id"],
        "previous": None if row["method"] is None else _origin(row) | {"href": href(row)},
    }


def summary(row: Row) -> dict[str, Any]:
    """Return what the summary of a job says of its analysis: {"state", "headline", "href"}; no headline: null."""
    state, _ = state_of(row)
    headline = row["result"].get("headline") if state == "ready" else None
    return {"state": state, "headline": headline, "href": address(row["job_id"])}


def address(job_id: str) -> str:
    """Return the address of a job's analysis in the API."""
    return f"/api/v1/jobs/{quote(job_id)}/analysis"


def href(row: Row) -> str:
    """Return the address of the row's analysis, whichever state the job has later."""
    return f"{address(row['job_id'])}?at={_hex(row)}&method={quote(row['method'], safe='')}"


def tag(row: Row, *, asked: bool = False) -> str:
    """Return the ETag of `document(row, asked=asked)`."""
    state, _ = state_of(row)
    computed = row["computed_at"].isoformat() if row["computed_at"] else None
    seen = (asked, state, row["job_version"], row["label_id"], row["job_status"], row["method"], computed)
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:20]


def _origin(row: Row) -> dict[str, Any]:
    """Return where an analysis comes from: method, input and the job's state."""
    return {
        "job_id": row["job_id"],
        "method": row["method"],
        "input_sha256": _hex(row),
        "computed_at": row["computed_at"],
        "job_version": row["of_version"],
        "label_id": row["of_label"],
    }


def _hex(row: Row) -> str:
    return bytes(row["input_sha256"]).hex()
