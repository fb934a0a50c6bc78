"""The incident's own job, bit for bit: `bias-detection-1760288315095` ended `queued` with none of its results stored.

Both doors are tried. What is asked afterwards are the report's own commands and its own query; only the host and the
cross-region execution's id, which the server draws, are this run's.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_cli.local import Local
from tests.http_requests import request
from tests.jobs import until
from tests.scrape import logs, pages, total

VECTORS = json.loads((Path(__file__).parent.parent / "data/signature_vectors.json").read_text())
JOB_ID = "bias-detection-1760288315095"
HOST = "https://beacon-runner-production.fly.dev"
EXECUTION_ID = "ecf59daf-4e84-4f09-8391-fd7e792d8b5f"

# The report's commands, as they stand there.
STATUS = f'curl -s "{HOST}/api/v1/jobs/{JOB_ID}" | jq ".status"'
EXECUTIONS = f'curl -s "{HOST}/api/v1/jobs/{JOB_ID}/executions/all" | jq ".executions | length"'
REGION_RESULTS = f'curl -s "{HOST}/api/v1/executions/{EXECUTION_ID}/cross-region" | jq ".region_results | length"'
SMOKE = [
    "curl -s http://localhost:8090/health | jq .service",
    "curl -s http://localhost:8090/api/v1/jobs/{job_id} | jq .status",
]
STEP_3 = b"""
-- Check all tables for the test job
SELECT 'jobs' as table_name, COUNT(*) as count
FROM jobs WHERE id = 'bias-detection-1760288315095'
UNION ALL
SELECT 'cross_region_executions', COUNT(*)
FROM cross_region_executions WHERE jobspec_id = 'bias-detection-1760288315095'
UNION ALL
SELECT 'region_results', COUNT(*)
FROM region_results WHERE cross_region_execution_id IN (
    SELECT id FROM cross_region_executions WHERE jobspec_id = 'bias-detection-1760288315095'
)
UNION ALL
SELECT 'executions', COUNT(*)
FROM executions WHERE job_id = 'bias-detection-1760288315095';
"""


def signed(form: str) -> dict[str, Any]:
    """The job as a client signed it in October 2025."""
    spec: dict[str, Any] = VECTORS["spec"]
    return {**spec, "signature": VECTORS["forms"][form]["signature"], "public_key": VECTORS["public_key"]}


def wrapped(form: str) -> dict[str, Any]:
    """The same in the wrapper of the second door."""
    return {"jobspec": signed(form), "target_regions": ["US", "EU"], "min_regions": 1, "min_success_rate": 0.67}


@pytest.mark.needs("curl", "jq")
@pytest.mark.parametrize(
    ("path", "body"), [("/jobs", signed("A")), ("/jobs/cross-region", wrapped("C"))], ids=["jobs", "cross-region"]
)
def test_the_job_of_the_incident_is_persisted_and_visible(
    stack: Callable[..., Local], tmp_path: Path, conn: psycopg.Connection[Any], path: str, body: dict[str, Any]
) -> None:
    trusted = tmp_path / "keys.json"
    trusted.write_text(json.dumps([{"kid": "portal", "public_key": VECTORS["public_key"], "status": "active"}]))
    # The job is a year old: whether that is too late is not what is tried here.
    local = stack(env={"TRUSTED_KEYS_FILE": str(trusted), "FRESHNESS_ENFORCE": "0", "DB_AUDIT": "1"}, worker_asia=0)
    accepted, answer = request(
        "POST", f"{local.api_url}/api/v1{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    assert (accepted, answer["job_id"], answer["status"]) == (202, JOB_ID, "queued")

    def shell(command: str) -> str:
        for theirs, ours in ((HOST, local.api_url), ("http://localhost:8090", local.api_url)):
            command = command.replace(theirs, ours)
        command = command.replace(EXECUTION_ID, answer["cross_region_execution_id"]).replace("{job_id}", JOB_ID)
        done = subprocess.run(
            ["/bin/bash", "-o", "pipefail", "-c", command],
            env=os.environ | {"NO_PROXY": "*"},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        return done.stdout.strip()

    until(lambda: shell(STATUS) == '"completed"')
    assert shell(EXECUTIONS) == "2"
    assert shell(REGION_RESULTS) == "2"
    assert [shell(command) for command in SMOKE] == ['"beacon-runner"', '"completed"']
    assert conn.execute(STEP_3).fetchall() == [
        ("jobs", 1),
        ("cross_region_executions", 1),
        ("region_results", 2),
        ("executions", 2),
    ]
    check_what_the_report_expects(local, answer["cross_region_execution_id"])
    check_logs_and_metrics(local)


def check_what_the_report_expects(local: Local, execution_id: str) -> None:
    """Its section "Expected Behavior", field by field."""
    _, whole = request("GET", f"{local.api_url}/api/v1/executions/{execution_id}/cross-region")
    across = whole["cross_region_execution"]
    assert (across["status"], across["success_count"], across["failure_count"]) == ("completed", 2, 0)
    assert across["completed_at"]
    assert across["duration_ms"] >= 0
    results = sorted(whole["region_results"], key=lambda result: str(result["region"]))
    assert [(r["region"], r["status"], r["provider_id"]) for r in results] == [
        ("EU", "success", "sandbox-eu"),
        ("US", "success", "sandbox-us"),
    ]
    for result in results:
        assert result["completed_at"]
        assert result["execution_output"]["signature"], "the output is the execution's receipt"
    _, rows = request("GET", f"{local.api_url}/api/v1/jobs/{JOB_ID}/executions/all")
    assert {(r["region"], r["model_id"], r["question_id"], r["status"]) for r in rows["executions"]} == {
        (region, "llama3.2-1b", "identity_basic", "completed") for region in ("US", "EU")
    }


def check_logs_and_metrics(local: Local) -> None:
    """No error anywhere, and every write that the report missed seen with the rows that it changed."""
    written = logs(local)
    assert written.keys() == {"api.1", "publisher.1", "worker_us.1", "worker_eu.1", "analyst.1"}
    for name, text in written.items():
        assert not re.search(r" (ERROR|CRITICAL) |Traceback", text), (name, text)
    assert re.search(rf"DB_AUDIT jobs\.submit job_id={JOB_ID} regions=2 rows=1 elapsed_ms=\d+$", written["api.1"], re.M)
    assert re.search(r"DB_AUDIT outbox\.mark outbox_ids?=\d+ rows=[12] ", written["publisher.1"])
    for region in ("us", "eu"):
        log = written[f"worker_{region}.1"]
        ids = rf"job_id={JOB_ID} region={region.upper()} model_id=llama3\.2-1b"
        assert re.search(rf"DB_AUDIT answers\.finish {ids} question_id=identity_basic status=ok rows=1 ", log), log
        assert re.search(rf"DB_AUDIT executions\.record {ids} status=completed rows=1 elapsed_ms=\d+$", log, re.M), log
        assert f"region finished job_id={JOB_ID} region={region.upper()} status=success" in log
    assert "Cross-region execution completed status=completed success_count=2 total_regions=2" in "".join(
        written.values()
    )
    # A process shows its page before it opens the database; its first heartbeat is its first write.
    until(lambda: all(total(page, "db_write_latency_ms_count") for page in pages(local).values()))
    for name, page in pages(local).items():
        assert total(page, "db_write_errors_total") == 0, name
