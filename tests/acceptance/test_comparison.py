"""Four jobs through the whole stack, each recomputed by docs/recompute.py from what anybody can download.

The files stay in artefacts/comparisons, where .ci/run recomputes them again with the system's own Python.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runner_cli.demo_job import demo_job
from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.http_requests import request
from tests.jobs import until
from tests.provider_server import ProviderServer

if TYPE_CHECKING:
    from runner_cli.local import Local

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "artefacts/comparisons"
REGIONS = ("US", "EU", "ASIA")
QUESTIONS = [f"What of {number}?" for number in range(10)]
# The demo's models, and two more. `drawn` draws its words, of which a fifth has other chances in ASIA. `flaky` is asked
# over HTTP.
DRAWN = """
[[providers]]
id = "drawn-{name}"
region = "{region}"
kind = "sandbox"
models = {{ drawn = "drawn" }}
options = {{ vary = 0.5, shift = {shift} }}

[[providers]]
id = "flaky-{name}"
region = "{region}"
kind = "openai"
base_url = "{url}/{region}/v1"
models = {{ flaky = "flaky" }}
"""


class Site:
    """A running stack whose model `flaky` is asked of `provider`."""

    def __init__(self, local: "Local", provider: ProviderServer) -> None:
        self.provider = provider
        self._local = local

    def submit(self, job_id: str, **spec: Any) -> None:
        spec = {**demo_job(), "id": job_id, **spec}
        spec["metadata"] = {"timestamp": datetime.now(UTC).isoformat(), "nonce": job_id, **spec.get("metadata", {})}
        body = json.dumps(sign(spec, PrivateKey.load(self._local.signing_key))).encode()
        status, answer = self._request("POST", "/api/v1/jobs", body)
        assert status == 202, answer

    def retry(self, job_id: str) -> None:
        status, answer = self._request("POST", f"/api/v1/jobs/{job_id}/retry", b"{}")
        assert status in (200, 202), answer

    def analysis(self, job_id: str) -> dict[str, Any]:
        """The analysis of the job's present state, once there is one."""
        return until(lambda: self._ready(job_id), 60)

    def recomputed(self, job_id: str, folder: Path) -> str:
        """Download the export and the analysis, and return what the script says of them."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / name for name in ("compare.json", "analysis.json")]
        for file in files:
            status, document = self._request("GET", f"/jobs/{job_id}/{file.name}")
            assert status == 200, document
            file.write_text(json.dumps(document))
        command = [sys.executable, "-I", "-S", str(ROOT / "docs/recompute.py"), *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _ready(self, job_id: str) -> dict[str, Any]:
        status, found = self._request("GET", f"/api/v1/jobs/{job_id}/analysis")
        return found if status == 200 and found["state"] == "ready" else {}

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._local.admin_token}"}
        return request(method, self._local.api_url + path, body, headers)


@pytest.fixture
def site(stack: "Callable[..., Local]", home: Path) -> Iterator[Site]:
    with ProviderServer() as provider:
        regions = home / "regions.toml"
        text = (ROOT / "regions/sandbox.toml").read_text()
        for region in REGIONS:
            shift = 0.2 if region == "ASIA" else 0
            text += DRAWN.format(name=region.lower(), region=region, shift=shift, url=provider.url)
        regions.write_text(text)
        yield Site(stack(env={"REGIONS_FILE": str(regions), "PROVIDER_MAX_TRIES": "1"}), provider)


def test_anybody_recomputes_every_number_of_four_jobs(site: Site) -> None:
    site.provider.add_rule(fault="status", status=400, probability=0.15)
    site.submit("missing-cells", models=["drawn", "flaky"], questions=QUESTIONS, runs=5)
    site.submit("demo")
    site.submit("one-run", models=["drawn", "sandbox-refuser"], questions=QUESTIONS[:6])
    found = {job_id: site.analysis(job_id) for job_id in ("missing-cells", "demo", "one-run")}

    site.provider.set_rules([{"fault": "status", "status": 400, "match": {"path": "/ASIA/"}}])
    site.submit("retried", models=["flaky", "drawn"], questions=QUESTIONS[:3], runs=2)
    before = site.analysis("retried")
    assert "every number agrees" in site.recomputed("retried", KEPT / "before-the-retry")
    site.provider.set_rules([])
    site.retry("retried")
    found["retried"] = site.analysis("retried")
    for job_id in found:
        assert "every number agrees" in site.recomputed(job_id, KEPT / job_id)

    design = {job_id: analysis["design"] for job_id, analysis in found.items()}
    assert [design[job_id]["planned"] for job_id in design] == [300, 12, 36, 36]
    assert 5 < design["missing-cells"]["errors"] < 45, "a part of one model's calls"
    assert verdicts(found["missing-cells"], "drawn")["wording_differs"] > 0
    assert all(model["wording"]["p"] is None for model in found["one-run"]["models"])
    assert set(verdicts(found["one-run"], "drawn")) == {"cannot_tell"}
    assert (before["design"]["errors"], design["retried"]["errors"]) == (6, 0)
    assert before["input_sha256"] != found["retried"]["input_sha256"]
    assert "system_prompts_differ" in [caution["code"] for caution in found["demo"]["cautions"]]


def verdicts(analysis: dict[str, Any], model_id: str) -> Counter[str]:
    (model,) = (model for model in analysis["models"] if model["model_id"] == model_id)
    return Counter(question["verdict"] for question in model["questions"])
