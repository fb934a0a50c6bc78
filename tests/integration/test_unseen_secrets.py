"""Keys, secret headers and a proxy's password are in nothing that anybody can read: log, database, pages, API, receipt.

The provider repeats all of them, in errors, answers, headers and redirects.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner_core.keys import PrivateKey
from tests.http_proxy import HttpProxy
from tests.integration.api_client import ADMIN_HEADER, Api
from tests.jobs import until
from tests.provider_server import ProviderServer
from tests.publishing import publish

PLACE = "127.0.0.1:9"  # closed: only the proxy reaches the provider
SECRETS = {
    "PROVIDER_KEY": "zq-key-0123456789",
    "AZURE_HEADER": "zq-header-0123456789",
    "REFERER": "Bearer zq-bearer-0123456789",
    "PROXY_WORD": "zq-proxy-0123456789",
}
REGIONS = f"""
default_model = "m1"
[questions]
q1 = "What is one?"
[regions.US]
[[providers]]
id = "p"
region = "US"
kind = "openai"
base_url = "http://{PLACE}/openai"
path = "/deployments/{{model}}/chat/completions"
query = {{ api-version = "2024-10-21" }}
api_key_env = "PROVIDER_KEY"
headers_env = {{ api-key = "AZURE_HEADER", x-referer = "REFERER" }}
proxy = "http://me:${{PROXY_WORD}}@127.0.0.1:%d"
models = {{ m1 = "m1", m2 = "m2", m3 = "m3", m4 = "m4" }}
"""
ALL = " ".join(SECRETS.values())


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        running.add_rule(match={"model": "m1"}, fault="status", status=401, text=f"wrong key: {ALL}")
        running.add_rule(match={"model": "m2"}, text=f"I was sent {ALL}.")
        running.add_rule(
            match={"model": "m3"}, fault="redirect_other", location=f"http://zq-key-0123456789.example/{ALL}"
        )
        running.add_rule(match={"model": "m4"}, fault="status", status=503, text=ALL, retry_after=ALL)
        yield running


def test_no_secret_is_seen_anywhere(
    make_api: Callable[..., Api], redis_url: str, database_url: str, tmp_path: Path, server: ProviderServer
) -> None:
    with HttpProxy({PLACE: server.port}) as proxy:
        file = tmp_path / "asked.toml"
        file.write_text(REGIONS % proxy.port)
        api = make_api(REGIONS_FILE=str(file))  # which needs none of the variables
        job_id = api.submit(constraints={"regions": ["US"]}, models=["m1", "m2", "m3", "m4"], questions=["q1"])
        env = {
            **os.environ,
            **SECRETS,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "REGIONS_FILE": str(file),
            "RECEIPT_KEY_FILE": str(receipt_key(tmp_path)),
            "PROBE_SECONDS": "0",
        }
        publish(env)
        log = tmp_path / "worker.log"
        with log.open("wb") as out:
            worker = subprocess.Popen(
                [sys.executable, "-m", "runner_worker", "--region", "US"], env=env, stdout=out, stderr=out
            )
        try:
            until(lambda: api.sql("SELECT status FROM jobs")[0][0] in ("completed", "failed"))
            seen = {"log": "", **everything(api, job_id)}
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0, log.read_text()
        seen["log"] = log.read_text()
    assert {call.path for call in server.calls} == {
        f"/openai/deployments/{model}/chat/completions?api-version=2024-10-21" for model in ("m1", "m2", "m3", "m4")
    }
    assert all(call.headers["api-key"] == SECRETS["AZURE_HEADER"] for call in server.calls)
    stored = seen["executions"]
    assert "wrong key: [key] [key] [key] [key]" in stored
    assert "I was sent [key] [key] [key] [key]." in stored
    assert "to http://[key].example" in stored
    assert "signature" in seen["receipt"]
    for place, text in seen.items():
        found = [secret for secret in (*SECRETS.values(), "zq-bearer-0123456789") if secret in text]
        assert (place, found) == (place, [])
        assert "zq-" not in text, place


def everything(api: Api, job_id: str) -> dict[str, str]:
    """What may be read of a job: every table, and each answer and page that has it."""
    tables = [name for (name,) in api.sql("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")]
    seen = {name: str(api.sql(f"SELECT t::text FROM {name} t")) for name in tables}  # noqa: S608 - the catalogue's names
    results = [number for (number,) in api.sql("SELECT id FROM executions ORDER BY model_id")]
    pages = ["/health", "/metrics", f"/api/v1/jobs/{job_id}", f"/api/v1/jobs/{job_id}/executions/all", "/api/v1/models"]
    pages += [
        f"/jobs/{job_id}",
        f"/jobs/{job_id}/compare",
        f"/jobs/{job_id}/compare.csv",
        f"/jobs/{job_id}/compare.json",
    ]
    pages += ["/", "/operations", *(f"/executions/{number}" for number in results)]
    pages += [f"/api/v1/executions/{number}/details" for number in results]
    for page in pages:
        seen[page] = told(api, page)
    seen["receipt"] = "".join(told(api, f"/api/v1/executions/{number}/receipt") for number in results)
    return seen


def told(api: Api, page: str) -> str:
    answer = api.client.get(page, headers=ADMIN_HEADER)
    assert answer.status_code < 500, (page, answer.text)
    return answer.text


def receipt_key(folder: Path) -> Path:
    path = folder / "receipt.pem"
    PrivateKey.generate().save(path)
    return path
