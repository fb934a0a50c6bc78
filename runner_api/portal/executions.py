"""The page of one execution: its questions, parameters, answers, tries and receipt."""

from flask import request
from werkzeug.wrappers import Response

from runner_api.http.services import services
from runner_api.portal.blueprint import blueprint, page
from runner_core import queries
from runner_core.errors import NotFound
from runner_core.store import executions


@blueprint.get("/executions/<int(max=999999999999999999):result_id>")
def execution(result_id: int) -> Response:
    """Show one execution with its calls in the order of the job's questions."""
    with services().db.transaction() as conn:
        found = executions.find(conn, result_id)
        extra = (queries.row(conn, "portal.job", job_id=found["job_id"]) if found else None) or {"questions": []}
        calls = executions.answers(conn, found) if found else []
    if found is None:
        raise NotFound(
            detail=f"There is no execution {result_id}. A retry may have replaced it: see the job's timeline."
        )
    texts = {question["id"]: question["text"] for question in extra["questions"]}
    places = list(texts)
    calls.sort(key=lambda c: (places.index(c["question_id"]), c["run_no"]))
    token = '-H "Authorization: Bearer $BEACON_TOKEN" ' if services().settings.api.read_tokens else ""
    details = f"{request.host_url}api/v1/executions/{found['id']}/details"
    return page(
        "execution.html",
        execution=found,
        calls=calls,
        named=next((call for call in calls if call["id"] == result_id), None),
        texts=texts,
        token_needed=bool(token),
        command=f"curl -s {token}{details} > execution.json\nbeacon receipt execution.json --trust runner-keys.json",
    )
