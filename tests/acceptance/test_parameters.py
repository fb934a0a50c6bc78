"""What a signed job asks for reaches a real provider through every process; seeds can be computed by anybody."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.acceptance.fault_site import Build, Site
from tests.client_guide import code
from tests.http_requests import request

QUESTIONS = [f"Which city has {number} inhabitants?" for number in range(25)]
# What somebody with the API's JSON alone does, with the guide's function.
RECOMPUTE = """
import json, sys, urllib.request

api, job_id = sys.argv[1:]
with urllib.request.urlopen(f"{api}/api/v1/jobs/{job_id}/executions/all") as answer:
    rows = json.load(answer)["executions"]
seeds = []
for row in rows:
    region, model = row["region"], row["model_id"]
    seeds.append([region, model, seed(job_id, region, model, row["question_id"], row.get("run_no"))])
print(json.dumps(seeds))
"""


def submitted(it: Site, job_id: str, **changes: Any) -> str:
    spec = {
        "id": job_id,
        "version": "v1",
        "benchmark": {
            "name": "parameters",
            "container": {"image": "x"},
            "input": {"hash": "sha256:placeholder", "data": {"prompt": "Why?"}},
        },
        "constraints": {"regions": ["US", "EU"]},
        "metadata": {"timestamp": datetime.now(UTC).isoformat(), "nonce": job_id},
        **changes,
    }
    status, answer = it.post(sign(spec, PrivateKey.load(it.local.signing_key)))
    assert status == 202, answer
    assert it.ended(job_id)["status"] == "completed"
    return job_id


def asked(it: Site) -> dict[tuple[str, str], dict[str, Any]]:
    """The bodies that the provider has received, by region and model."""
    return {(call.path.split("/")[1], call.body["model"]): call.body for call in it.provider.calls}


def recomputed(it: Site, job_id: str, folder: Path) -> list[tuple[str, str, int]]:
    """Region, model and seed of each row that the API tells of a job."""
    program = folder / "recompute.py"
    program.write_text(code("python seed") + RECOMPUTE)
    words = [sys.executable, "-I", str(program), it.local.api_url, job_id]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    return [(region, model, seed) for region, model, seed in json.loads(done.stdout)]


def sent(it: Site) -> list[tuple[str, str, int]]:
    return [(call.path.split("/")[1], call.body["model"], call.body["seed"]) for call in it.provider.calls]


def test_what_is_asked_reaches_the_provider(build: Build) -> None:
    with build(worker_us=1, worker_eu=1) as it:
        submitted(
            it,
            "job-asked",
            questions=["Why?"],
            parameters={"temperature": 0, "top_p": 0.5, "system_prompt": "Be brief.", "stop": ["END"]},
            models=["m1", {"id": "m2", "parameters": {"temperature": None, "max_tokens": 9, "seed": 0, "stop": None}}],
        )
        bodies = asked(it)
        assert len(it.provider.calls) == len(bodies) == 4
        for region in ("US", "EU"):
            first, second = bodies[region, "m1"], bodies[region, "m2"]
            assert first.pop("seed") != 0
            messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
            both = {"messages": messages, "stream": False, "top_p": 0.5}
            assert first == both | {"model": "m1", "temperature": 0, "max_tokens": 500, "stop": ["END"]}
            assert second == both | {"model": "m2", "max_tokens": 9, "seed": 0}
        status, job = request("GET", f"{it.local.api_url}/api/v1/jobs/job-asked")
        assert status == 200
        assert job["job"]["parameters"]["temperature"] == 0


def test_two_hundred_seeds_are_distinct_and_can_be_recomputed(build: Build, tmp_path: Path) -> None:
    with build(worker_us=1, worker_eu=1) as it:
        job_id = submitted(it, "job-seeds", questions=QUESTIONS, models=["m1", "m2"], runs=2)
        assert len({seed for _, _, seed in sent(it)}) == len(it.provider.calls) == 200
        assert sorted(recomputed(it, job_id, tmp_path)) == sorted(sent(it))
        it.provider.calls.clear()
        prompt_job = submitted(it, "job-prompt", models=["m1"])
        assert sorted(recomputed(it, prompt_job, tmp_path)) == sorted(sent(it))
        assert len(it.provider.calls) == 2
