"""A receipt of each kind of provider, made by a worker process and verified by the command, without a network."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from runner_core.keys import PrivateKey
from tests.command_line import usage
from tests.integration.api_client import Api
from tests.jobs import until
from tests.provider_server import ProviderServer
from tests.publishing import publish

MODELS = ("openai", "anthropic", "hybrid", "sandbox")
FILE = """
default_model = "openai"
[questions]
q1 = "What is one?"
[regions.US]
display = "US"
system_prompt = "You are in US."
hybrid_preference = "us-east"
"""
PROVIDER = """
[[providers]]
id = "{kind}-us"
region = "US"
kind = "{kind}"
{where}
models = {{ {kind} = "vendor/{kind}" }}
"""


def regions_file(folder: Path, url: str) -> Path:
    """A region with a provider of each kind; three of them ask the server at `url`."""
    where = {kind: "" if kind == "sandbox" else f'base_url = "{url}/{kind}"' for kind in MODELS}
    path = folder / "each_kind.toml"
    path.write_text(FILE + "".join(PROVIDER.format(kind=kind, where=where[kind]) for kind in MODELS))
    return path


def test_each_verifies_and_no_longer_once_it_is_changed(
    make_api: Callable[..., Api], database_url: str, redis_url: str, tmp_path: Path
) -> None:
    PrivateKey.generate().save(str(tmp_path / "receipt.pem"))
    with ProviderServer() as provider:
        file = regions_file(tmp_path, provider.url)
        env = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_url, "REGIONS_FILE": str(file)}
        env |= {"RECEIPT_KEY_FILE": str(tmp_path / "receipt.pem"), "PROBE_SECONDS": "0", "ALLOW_SANDBOX": "1"}
        api = make_api(REGIONS_FILE=str(file), ALLOW_SANDBOX="1")
        worker = subprocess.Popen([sys.executable, "-m", "runner_worker", "--region", "US"], env=env)
        try:
            job_id = api.submit(models=list(MODELS), questions=["q1"], constraints={"regions": ["US"]})
            publish(env)
            until(lambda: api.sql("SELECT status FROM jobs WHERE id = %s", job_id)[0][0] == "completed")
        finally:
            worker.kill()
            worker.wait()
    rows = {row["model_id"]: row for row in api.get(f"/jobs/{job_id}/executions/all")["executions"]}
    assert rows.keys() == set(MODELS)
    for row in rows.values():
        details = api.get(f"/executions/{row['execution_id']}/details")
        told = tmp_path / "execution.json"
        told.write_text(json.dumps(details))
        key = details["receipt"]["public_key"]
        assert (details["status"], details["receipt"]["version"]) == ("completed", 2)
        assert details["answers"][0]["sent"]["model"] == f"vendor/{row['model_id']}"
        assert usage("receipt", str(told), "--trust", key) == 0
        details["answers"][0]["sent"]["model"] = "another"
        told.write_text(json.dumps(details))
        assert usage("receipt", str(told), "--trust", key) == 1
