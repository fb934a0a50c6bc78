"""Reads what a list of jobs is filtered by: the API refuses mistakes, and pages leave mistaken filters out."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from flask import request

from runner_api.http.wire import utc
from runner_core.errors import SpecError
from runner_core.statuses import JOB_STATES
from runner_core.store.job_lists import Filters

MAX_CHARACTERS = 255
NAMES = ("q", "status", "failures", "model", "region", "submitter", "since")
_AGO = re.compile(r"([0-9]{1,4})([mhd])", re.ASCII)
_NEVER = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def asked() -> Filters:
    """Return the filters of an API request. Raises SpecError for a value that no filter can have."""
    values = {name: text for name in (*NAMES, "state") if (text := request.args.get(name))}
    for name, text in values.items():
        if not _is_text(text):
            raise SpecError(detail=f"{name} must have at most {MAX_CHARACTERS} characters, none of them a control.")
    for name in ("status", "state"):
        if values.get(name) not in (None, *JOB_STATES):
            raise SpecError(detail=f"{name} must be one of {', '.join(JOB_STATES)}.")
    if values.get("failures", "1") != "1":
        raise SpecError(detail="failures must be 1: only jobs with failed units.")
    if "since" in values and since(values["since"]) is None:
        raise SpecError(detail="since must be a time such as 2026-01-31T12:00:00Z, or 90m, 24h or 7d ago.")
    # A status of the API is the stored one: of the jobs that have completed, `partial` finds a part. A state is the
    # shown one.
    state, status = values.get("state"), values.get("status")
    if status == "partial" and state in (None, "partial"):
        return _filters(values, {"state": "partial"})
    return _filters(values, {"state": state, "status": status})


def shown(values: Mapping[str, str]) -> tuple[dict[str, str], Filters]:
    """Return the filters of a page as they stand in its address, and what they mean. A mistaken one is left out."""
    kept = {name: _comparable(text) for name in NAMES if (text := values.get(name, "").strip())}
    if kept.get("status") not in (None, *JOB_STATES):
        del kept["status"]
    if kept.get("failures", "1") != "1":
        del kept["failures"]
    if "since" in kept and since(kept["since"]) is None:
        del kept["since"]
    return kept, _filters(kept, {"state": kept.get("status")})


def since(text: str) -> datetime | None:
    """Return the time that `text` names: 90m, 24h or 7d ago, or a time of ISO 8601; None for any other text."""
    if ago := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return utc(text)
    except (ValueError, OverflowError):
        return None


def _filters(values: Mapping[str, str], state: Mapping[str, str | None]) -> Filters:
    return Filters(
        **state,
        failures="failures" in values,
        model=values.get("model"),
        region=values.get("region"),
        submitter=values.get("submitter"),
        since=since(values["since"]) if "since" in values else None,
        wanted=values.get("q"),
    )


def _is_text(text: str) -> bool:
    """Return whether PostgreSQL can compare the text: no NUL, no half of a surrogate pair, and of a bounded length."""
    return len(text) <= MAX_CHARACTERS and not _NEVER.search(text)


def _comparable(text: str) -> str:
    """Return a text that PostgreSQL can compare; one that it could not finds nothing."""
    return _NEVER.sub("\N{REPLACEMENT CHARACTER}", text[:MAX_CHARACTERS])
