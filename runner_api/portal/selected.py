"""Retry or cancel many jobs: the selected ones, or all that the filters of the list find.

A page asks first, and its form has the ids of the jobs that were found at the click: later jobs are never among them.
Each job is a transaction of its own. A request works for SECONDS and answers with how far it is and with a form for the
rest, so that it can be stopped, and goes on without JavaScript.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from flask import request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from runner_api.http import job_filters
from runner_api.http.paging import as_cursor, cursor
from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, form_sender, page
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_api.views.words import Exact
from runner_core import queries
from runner_core.errors import BeaconError, SpecError
from runner_core.queries import Row
from runner_core.statuses import OPEN
from runner_core.store import job_lists
from runner_core.store.job_lists import FIRST, Filters

MAX_JOBS = 1000  # that one confirmation covers
MAX_LOOKS = 40  # at the list, for one request; a button goes on from there
READ_TOGETHER = 100  # jobs that one statement reads
SECONDS = 2.0  # that one request works
MAX_TOLD = 20  # refusals that the page tells one by one


@dataclass
class Progress:
    """How far the work is. `refused` has the id and the reason of the first refusals."""

    done: int = 0
    refused_count: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Further:
    """Where the next look for jobs begins: the place in the list of one of the `kinds` that match."""

    kind: int
    before: job_lists.Place


@blueprint.post("/selected")
def ask_selected() -> Response:
    """Ask whether to retry or cancel the jobs, and say how many they are and what they cost."""
    form_sender()
    do, _, which = request.form.get("do", "").partition("-")
    if do not in ("retry", "cancel"):
        raise SpecError(detail="Choose whether to retry or to cancel.")
    kept, filters = job_filters.shown(request.form)
    further = None
    if which == "all":
        found, further = _matching(filters, do, _from())
        ids = [row["id"] for row in found]
    else:
        ids = list(dict.fromkeys(request.form.getlist("job")))[:MAX_JOBS]
    listed = _rows(ids)
    chosen = [row for row in listed if _concerns(row, do)]
    return page(
        "selected.html",
        do=do,
        jobs=[row["id"] for row in chosen],
        named=len(listed),
        calls=_calls([row["id"] for row in chosen]) if do == "retry" else 0,
        further=further and {"kind": further.kind, "cursor": _as_field(further.before)},
        most=MAX_JOBS,
        batch=uuid.uuid4().hex,
        kept=kept,
        fields=_fields(kept),
    )


@blueprint.post("/selected/run")
def run_selected() -> Response:
    """Work on the jobs for SECONDS, and show how far that is."""
    actor = form_sender()
    form = request.form
    do, ids = form.get("do", ""), form.get("jobs", "").split()
    if do not in ("retry", "cancel") or len(ids) > MAX_JOBS:
        raise SpecError(detail="This form is not complete: go back to the list, and select the jobs again.")
    progress = _progress(form)
    left = _work(do, ids, actor, form.get("batch", "")[:64], progress)
    kept, _ = job_filters.shown(form)
    return page(
        "selected_run.html",
        do=do,
        batch=form.get("batch", "")[:64],
        jobs=left,
        progress=progress,
        total=progress.done + progress.refused_count + len(left),
        kept=kept,
        fields=_fields(kept),
    )


def _work(do: str, ids: Sequence[str], actor: Actor, batch: str, progress: Progress) -> list[str]:
    """Retry or cancel one job after the other; return those that are left when the time is over.

    The id of each action is made from the form's, so that a form that is sent twice acts once.
    """
    until = time.monotonic() + SECONDS
    for number, job_id in enumerate(ids):
        if number and time.monotonic() >= until:
            return list(ids[number:])
        action_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{batch} {job_id}").hex
        try:
            if do == "retry":
                retry_job(services().db, job_id, Wanted(), actor, action_id)
            else:
                cancel_job(services().db, job_id, actor, action_id)
            progress.done += 1
        except BeaconError as error:
            progress.refused_count += 1
            if len(progress.refused) < MAX_TOLD:
                progress.refused.append((job_id, error.detail))
    return []


def _matching(filters: Filters, do: str, begin: Further) -> tuple[list[Row], Further | None]:
    """Return up to MAX_JOBS jobs that the filters find and that can be retried or cancelled, newest first.

    Also where the search goes on, None after the last job: one request looks at the list MAX_LOOKS times at most.
    """
    if do == "retry":
        kinds = [replace(filters, failures=True)]
    else:
        kinds = [replace(filters, state=state) for state in OPEN if filters.state in (None, state)]
    found: list[Row] = []
    looks = 0
    before: job_lists.Place | None = begin.before
    for number, kind in list(enumerate(kinds))[begin.kind :]:
        while before is not None:
            if looks == MAX_LOOKS or len(found) == MAX_JOBS:
                return found, Further(number, before)
            looks += 1
            with services().db.transaction() as conn:
                rows, before, _ = job_lists.matching(conn, kind, before, READ_TOGETHER)
            found += [row for row in rows if row["state"] != "cancelled"]
            if len(found) > MAX_JOBS:
                return found[:MAX_JOBS], Further(number, job_lists.place_of(found[MAX_JOBS - 1]))
        before = FIRST
    return found, None


def _from() -> Further:
    """Return where the search begins, as the form has it."""
    kind = request.form.get("kind", "")
    return Further(int(kind) if kind in ("0", "1") else 0, cursor(request.form))


def _as_field(place: job_lists.Place) -> str:
    """Return a place as a field of a form, empty for the beginning of the list."""
    return "" if place == FIRST else as_cursor(place)


def _rows(ids: Sequence[str]) -> list[Row]:
    """Return what lists show of these jobs, in the order of the ids."""
    shown: dict[str, Row] = {}
    for start in range(0, len(ids), READ_TOGETHER):
        with services().db.transaction() as conn:
            wanted = list(ids[start : start + READ_TOGETHER])
            shown |= {row["id"]: row for row in queries.rows(conn, "lists.shown", job_ids=wanted, progress=False)}
    return [shown[job_id] for job_id in ids if job_id in shown]


def _calls(ids: Sequence[str]) -> int:
    """Return how many calls the failed units of these jobs have: a retry makes at most so many."""
    total = 0
    for start in range(0, len(ids), READ_TOGETHER):
        with services().db.transaction() as conn:
            wanted = list(ids[start : start + READ_TOGETHER])
            total += queries.single(conn, "lists.calls", job_ids=wanted)["calls"]
    return total


def _concerns(row: Row, do: str) -> bool:
    """Return whether the job can be cancelled, or has something to retry."""
    if do == "cancel":
        return row["status"] in OPEN
    return row["status"] in ("completed", "failed") and row["failed_units"] != 0


def _progress(form: MultiDict[str, str]) -> Progress:
    """Return how far the earlier requests came, as the form has it."""
    numbers = [
        int(text) if (text := form.get(name, "0")).isdecimal() and len(text) < 6 else 0
        for name in ("done", "refused_count")
    ]
    told = [tuple(text.split(" ", 1)) for text in form.getlist("refused")[:MAX_TOLD] if " " in text]
    return Progress(numbers[0], numbers[1], [(job_id, reason) for job_id, reason in told])


def _fields(kept: dict[str, str]) -> dict[str, str]:
    """Return the filters as fields of a form."""
    return {name: Exact(text) for name, text in kept.items()}
