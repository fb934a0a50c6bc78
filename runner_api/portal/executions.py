"""One execution: what was asked, with what parameters, what came back, after which tries, and the receipt."""

from werkzeug.wrappers import Response

from runner_api.portal.blueprint import blueprint, page
from runner_api.services import services
from runner_core.errors import NotFound
from runner_core.store import portal, reads


@blueprint.get("/executions/<int(max=999999999999999999):result_id>")
def execution(result_id: int) -> Response:
    """One model in one region, with each of its calls; the one that the id names comes first."""
    with services().db.transaction() as conn:
        found = reads.execution(conn, result_id)
        extra = (portal.job(conn, found["job_id"]) if found else None) or {"questions": []}
        calls = reads.answers(conn, found["job_id"], found["region"], found["model_id"]) if found else []
    # Not in the transaction: an exception there costs its connection.
    if found is None:
        raise NotFound(
            detail=f"There is no execution {result_id}. A retry may have replaced it: see the job's timeline."
        )
    texts = {question["id"]: question["text"] for question in extra["questions"]}
    places = list(texts)
    calls.sort(key=lambda c: (c["id"] != result_id, places.index(c["question_id"]), c["run_no"]))
    return page(
        "execution.html",
        execution=found,
        calls=calls,
        texts=texts,
        token_needed=bool(services().settings.read_tokens),
    )
