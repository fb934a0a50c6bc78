"""Jobs that have ended, their labels, and analyses of them, as the analyst stores them."""

import json
from dataclasses import replace
from typing import Any

from runner_analyst.analyst import compute
from runner_core.refusals.scored import MODEL
from runner_core.store import analyses
from runner_core.store.analyses import Analysis, Snapshot
from tests.integration.api_client import Api

TEXT_CHARACTERS = 20_000


def ended(api: Api, **changes: Any) -> str:
    """A job that has ended in US and EU, each of whose answers says its question's name."""
    job_id = api.submit(**changes)
    for region in ("US", "EU"):
        api.finish(job_id, region, {"m1": True})
    return job_id


def snapshot(api: Api, job_id: str) -> Snapshot:
    """The present state of an ended job, as the analyst reads it."""
    with api.worker.transaction() as conn:
        found = analyses.snapshot(conn, job_id, TEXT_CHARACTERS)
    assert found
    return found


def analysed(
    api: Api,
    job_id: str,
    scores: dict[bytes, Any] | None = None,
    judge: str | None = None,
    measured: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Store the analysis of a job's present state and return the result; `changes` are of the stored row.

    With `scores` these results of sentence embeddings are stored and used. The labels of `judge` count, because of
    what was `measured`.
    """
    found = snapshot(api, job_id)
    if scores is not None:
        with api.worker.transaction() as conn:
            analyses.keep_embeddings(conn, MODEL, scores)
        found = replace(found, scores=scores)
    digest, result = compute(replace(found, judge=judge, measured=measured))
    row = {"method": result["method"], "input_sha256": digest, "result": json.dumps(result), "elapsed_ms": 5} | changes
    with api.worker.transaction() as conn:
        assert analyses.add(conn, Analysis(state=found.state, **row))
    return result


def add_label(api: Api, job_id: str, category: str = "hard_refusal", place: int = 0) -> int:
    """Label one answer of a job as a person does; returns the answer's id."""
    sql = "SELECT id FROM answers WHERE job_id = %s AND status = 'ok' ORDER BY id"
    answer_id: int = api.sql(sql, job_id)[place][0]
    with api.worker.transaction() as conn:
        assert analyses.add_label(conn, answer_id, category=category, source="human", actor="tester", note="a note")
    return answer_id
