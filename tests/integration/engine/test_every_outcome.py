"""Each outcome of a request as a job of its own: the status of its answer, its execution and its job."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from runner_core.db import Database
from tests.engine import Start
from tests.jobs import catalogue, query, submission, submit
from tests.outcome_rows import ROWS
from tests.provider_server import ProviderServer

# One provider is enough. A try that has no answer in time takes the worker's 180 s.
STORED = {
    f"row-{number:03}": name
    for number, (name, row) in enumerate(ROWS.items())
    if row.kind == "openai" and not row.seconds
}
FOUND = """
SELECT a.model_id, a.status AS answer, e.status AS execution, j.status AS job, a.calls, a.paid,
       a.error ->> 'code' AS code, a.output ->> 'refusal_source' AS source
  FROM answers a JOIN executions e USING (job_id, region, model_id) JOIN jobs j ON j.id = a.job_id
"""


def test_what_is_stored(
    db: Database, conn: psycopg.Connection[Any], server: ProviderServer, start: Start, tmp_path: Path
) -> None:
    for model, name in STORED.items():
        server.add_rule(match={"model": model}, **ROWS[name].rule)
    asked = {"kind": "openai", "base_url": f"{server.url}/v1", "max_concurrency": 64}
    regions = catalogue(tmp_path, {"US": asked}, models=" ".join(("m1", *STORED)))
    regions = replace(regions, refusal_patterns=(re.compile("as an ai", re.IGNORECASE),))
    jobs = [submit(db, submission(regions=("US",), models=(model,))).job_id for model in STORED]
    start(regions, provider_max_tries=3).run(*((job_id, "US") for job_id in jobs))
    found = {STORED[row.pop("model_id")]: row for row in query(conn, FOUND)}
    wanted = {}
    for name in STORED.values():
        row = ROWS[name]
        answer, rest = ("ok", "completed") if row.code is None else ("failed", "failed")
        statuses = {"answer": answer, "execution": rest, "job": rest}
        wanted[name] = {**statuses, "calls": row.calls, "paid": row.paid, "code": row.code, "source": row.source}
    assert found == wanted
