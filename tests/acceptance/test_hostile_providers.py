"""Races of a cancellation, answers that mean harm, and logs that tell no secret."""

import re
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.acceptance.fault_site import Build, at_once
from tests.jobs import until
from tests.provider_server import ProviderServer

if TYPE_CHECKING:
    pass


# -- races and hostile answers --


def test_cancelling_races_with_completing_and_has_one_winner(build: Build) -> None:
    with build(worker_us=1, worker_eu=1) as it:
        it.provider.add_rule(delay=3600.0)
        jobs = [it.submit("US", "EU", timeout_seconds=300) for _ in range(24)]
        it.called(count=2 * len(jobs))
        first, *racing, last = jobs

        def cancel_late(job_id: str, seconds: float) -> tuple[int, dict[str, Any]]:
            time.sleep(seconds)
            return it.cancel(job_id)

        # One before the answers' arrival, one after its end, and the others from the one moment to the other.
        told = [it.cancel(first)]
        late = [partial(cancel_late, job_id, 0.2 * n / len(racing)) for n, job_id in enumerate(racing)]
        told += at_once([*late, it.provider.release])[:-1]
        it.ended(last)
        told.append(it.cancel(last))
        for job_id, (status, answer) in zip(jobs, told, strict=True):
            job = it.ended(job_id)
            assert (status, job["status"]) in ((200, "cancelled"), (409, "completed")), answer
            assert len(it.events(job_id, "job_cancelled")) + len(it.events(job_id, "job_completed")) == 1
            assert {row["status"] for row in job["executions"]} <= {"completed", "cancelled"}
        assert {status for status, _ in told} == {200, 409}, "each of the two has won"
        before = {table: rows for table, rows in it.stored_rows().items() if table != "region_runs"}
        until(lambda: it.metric("worker_us", "runner_region_runs_in_flight ") == 0)
        until(lambda: it.metric("worker_eu", "runner_region_runs_in_flight ") == 0)
        assert {table: rows for table, rows in it.stored_rows().items() if table in before} == before


def test_a_hostile_provider_does_no_harm(build: Build) -> None:
    expected = {
        "big": "answer_too_large",
        "redirect_other": "redirect_refused",
        "html": "malformed_answer",
        "drip": "timeout",
        "raw_nul": None,
        "nul": None,
    }
    with ProviderServer() as elsewhere, build(worker_us=1) as it:
        [worker] = [p.pid for p in it.local.stack.processes() if p.kind == "worker_us"]
        for fault in expected:
            it.provider.add_rule(fault=fault, match={"prompt": f" {fault}"}, location=f"{elsewhere.url}/stolen")
        jobs = {f: it.submit(questions=(f,), timeout_seconds=4 if f == "drip" else 30) for f in expected}
        seen = {}
        for fault, job_id in jobs.items():
            [row] = it.ended(job_id)["executions"]
            seen[fault] = (row["error_detail"] or {}).get("code")
        assert seen == expected
        for fault, answer in (("nul", "before\ufffd\ufffdafter"), ("raw_nul", "before \ufffd\ufffd after")):
            [row] = it.job(jobs[fault])["executions"]
            assert (row["output"]["response"], row["output"]["sanitised"]) == (answer, True)
        assert elsewhere.calls == []
        assert it.ended(it.submit())["status"] == "completed"
        assert [p.pid for p in it.local.stack.processes() if p.kind == "worker_us"] == [worker]


def test_no_log_of_any_process_has_a_key_a_secret_or_a_prompt(build: Build, home: Path, redis_url: str) -> None:
    secret = "provider-secret-0123456789"
    env = {"DB_AUDIT": "1", "FAULTS_PROVIDER_KEY": secret}
    with build(env, worker_us=1, key_env="FAULTS_PROVIDER_KEY") as it:
        it.provider.add_rule(fault="status", status=400, text="you asked: confidential echo", match={"prompt": " echo"})
        it.provider.add_rule(fault="nul", text="confidential reply", match={"prompt": " quote"})
        job_ids = [it.submit(questions=(f"confidential {word}",)) for word in ("plain", "echo", "quote")]
        assert {it.ended(job_id)["status"] for job_id in job_ids} == {"completed", "failed"}
        assert it.provider.calls[0].headers["authorization"] == f"Bearer {secret}"
        spec = it.spec(questions=("confidential lie",))
        assert it.post(spec | {"runs": 2})[0] == 400  # a signature that does not match
        assert it.post(spec | {"constraints": "confidential"})[0] == 400
        it.conn.execute("ALTER TABLE executions RENAME TO gone")  # the database's own words quote rows
        broken = it.submit(questions=("confidential crash",))
        it.happened(broken, "region_claimed")
        until(lambda: "executions" in (home / "log/worker_us.1.log").read_text())
        it.conn.execute("ALTER TABLE gone RENAME TO executions")
        it.ended(broken)
        forbidden = [secret, "confidential", it.local.admin_token, redis_url.split("@")[0].rpartition(":")[2]]
        forbidden += [path.read_text().strip() for path in home.glob("*.password")]
        forbidden += [spec["signature"], spec["public_key"], "PRIVATE KEY", "before"]
    logs = {path.name: path.read_text() for path in (home / "log").glob("*.log")}
    assert {"api.1.log", "publisher.1.log", "worker_us.1.log"} <= logs.keys()
    found = [(name, word) for name, text in logs.items() for word in forbidden if word and word in text]
    assert found == []
    assert re.search(r"DB_AUDIT executions\.record .*rows=1", logs["worker_us.1.log"])
