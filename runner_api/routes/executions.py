"""Executions, their receipts, and the cross-region view."""

import re
from typing import Any
from uuid import UUID

from flask import Blueprint, Response

from runner_api.http import paging
from runner_api.http.services import services
from runner_api.http.wire import reply
from runner_api.views.analysis import is_current, summary
from runner_api.views.rows import answer, execution
from runner_api.views.scoring import older_words, scoring
from runner_core import queries
from runner_core.errors import NotFound
from runner_core.queries import Row
from runner_core.store import analyses, executions

blueprint = Blueprint("executions", __name__)


@blueprint.get("/executions")
def list_executions() -> Response:
    """List the executions of all jobs, newest first. `offset` skips rows after the cursor, where one is given."""
    limit, offset, before = paging.page(), paging.offset(), paging.result_cursor()
    with services().db.transaction() as conn:
        place = {"before": before[0], "before_id": before[1]}
        found = queries.rows(conn, "reads.executions", **place, page=limit + 1, skip=offset)
    more = paging.next_cursor(found[limit - 1]) if len(found) > limit else None
    shown = [execution(row) for row in found[:limit]]
    return reply({"executions": shown, "limit": limit, "offset": offset, "next_cursor": more})


@blueprint.get("/executions/<result_id>/details")
def get_details(result_id: str) -> Response:
    """Read one execution with its calls and their tries, its parameters and its receipt."""
    number = _number(result_id)
    with services().db.transaction() as conn:
        found = executions.find(conn, number)
        answers = executions.answers(conn, found) if found else []
    if found is None:
        raise _unknown(result_id)
    return reply(
        {
            **execution(found),
            "job_status": found["job_status"],
            "cross_region_execution_id": found["cross_region_execution_id"],
            "attempt": found["attempt"],
            "failed_answers": found["failed_answers"],
            "parameters": found["parameters"],
            "answers": [answer(row) for row in answers],
            "receipt": found["receipt"],
        }
    )


@blueprint.get("/executions/<result_id>/receipt")
def get_receipt(result_id: str) -> Response:
    """Read the signed receipt of an execution."""
    number = _number(result_id)
    with services().db.transaction() as conn:
        found = executions.find(conn, number)
    if found is None:
        raise _unknown(result_id)
    if found["receipt"] is None:
        raise NotFound(detail="This execution has no receipt.")
    return reply(found["receipt"])


@blueprint.get("/executions/<name>/cross-region")
def get_cross_region(name: str) -> Response:
    """Read a job across its regions. `name` is the cross-region uuid or the job's id."""
    with services().db.transaction() as conn:
        found = queries.row(conn, "reads.cross_region", cross_region_id=_uuid(name), job_id=name)
        job_id = found["jobspec_id"] if found else ""
        regions = queries.rows(conn, "reads.region_results", job_id=job_id)
        numbers = queries.single(conn, "reads.summary", job_id=job_id)
        analysis = analyses.newest(conn, job_id)
    if found is None or analysis is None:
        raise NotFound(detail=f"There is no cross-region execution {name}.")
    result = analysis["result"] if is_current(analysis) else None
    return reply(
        {
            "cross_region_execution": found,
            "region_results": [r | {"scoring": result and scoring(result, r["region"])} for r in regions],
            "summary": {"text": _text(found, numbers), **numbers, "analysis": summary(analysis)},
            "analysis": result and older_words(result),
        }
    )


def _text(job: Row, numbers: dict[str, Any]) -> str:
    done = f"{job['success_count']} of {job['total_regions']} regions succeeded"
    answers = f"{numbers['answers']} answers, {numbers['refused_answers']} of them refusals"
    return f"{job['status']}: {done}; {answers}."


def _unknown(result_id: str) -> NotFound:
    return NotFound(detail=f"There is no execution {result_id}.")


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise _unknown(text)
    return int(text)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
