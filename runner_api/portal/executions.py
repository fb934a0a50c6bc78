"""The page of one execution: its questions, parameters, answers, tries and receipt."""

from typing import Any

from flask import request
from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, page
from runner_api.views import units
from runner_core import queries
from runner_core.errors import NotFound
from runner_core.queries import Row
from runner_core.store import executions


@blueprint.get("/executions/<int(max=999999999999999999):result_id>")
def execution(result_id: int) -> Response:
    """Show one execution with its calls in the order of the job's questions."""
    with services().db.transaction() as conn:
        found = executions.find(conn, result_id)
        extra: Row = {"questions": [], "plan": {}, "name": ""}
        calls: list[Row] = []
        ended: list[Row] = []
        siblings: list[Row] = []
        if found:
            job = {"job_id": found["job_id"]}
            extra = queries.row(conn, "portal.job", **job) or extra
            calls = executions.answers(conn, found)
            ended = queries.rows(conn, "portal.units", **job)
            siblings = queries.rows(conn, "portal.siblings", model_id=found["model_id"], **job)
    if found is None:
        raise NotFound(
            detail=f"There is no execution {result_id}. A retry may have replaced it: see the job's timeline."
        )
    texts = {question["id"]: question["text"] for question in extra["questions"]}
    places = list(texts)
    calls.sort(key=lambda c: (places.index(c["question_id"]), c["run_no"]))
    token = '-H "Authorization: Bearer $BEACON_TOKEN" ' if services().settings.api.read_tokens else ""
    details = f"{request.host_url}api/v1/executions/{found['id']}/details"
    before, after = units.around(extra["plan"], ended, found["region"], found["model_id"])
    return page(
        "execution.html",
        execution=found,
        name=extra["name"],
        calls=calls,
        before=before,
        after=after,
        elsewhere=units.elsewhere(siblings, found["region"]),
        untold=_untold(found, calls),
        named=next((call for call in calls if call["id"] == result_id), None),
        texts=texts,
        token_needed=bool(token),
        command=f"curl -s {token}{details} > execution.json\nbeacon receipt execution.json --trust runner-keys.json",
    )


def _untold(found: Row, calls: list[Row]) -> dict[str, Any] | None:
    """Return the execution's error if none of its calls tells the same one."""
    error: dict[str, Any] | None = found["error_detail"]
    told = [(call["error_detail"]["code"], call["error_detail"]["message"]) for call in calls if call["error_detail"]]
    return error if error and (error["code"], error["message"]) not in told else None
