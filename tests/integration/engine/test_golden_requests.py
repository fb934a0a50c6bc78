"""A job without parameters sends what release 0.2.0 sent, byte for byte but for the seed's value."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runner_core.db import Database
from runner_core.parameters import seed_of
from runner_core.regions import load_catalogue
from tests.engine import Start
from tests.jobs import ALL, submission, submit

# The bodies that 0.2.0 sent to these providers, by region.
GOLDEN: dict[str, str] = json.loads((Path(__file__).parents[2] / "data/requests_0.2.0.json").read_text())
QUESTION = 'Ist "Zürich" größer?\nTab:\t\\ </script> \u2028 \U0001f600'
REGIONS = """
default_model = "m1"
[regions.US]
system_prompt = "You are in the US. \\"Zürich\\" is far."
[regions.EU]
system_prompt = "You are in the EU."
hybrid_preference = "eu-west"
[regions.ASIA]
[[providers]]
id = "openai-us"
region = "US"
kind = "openai"
base_url = "{url}/US/v1"
max_tokens = 300
models = {{ m1 = "vendor/model-1" }}
[[providers]]
id = "hybrid-eu"
region = "EU"
kind = "hybrid"
base_url = "{url}/EU"
models = {{ m1 = "model-1" }}
[[providers]]
id = "openai-asia"
region = "ASIA"
kind = "openai"
base_url = "{url}/ASIA/v1"
models = {{ m1 = "model-1" }}
"""
ANSWERS: dict[bool, Any] = {
    True: {"success": True, "response": "x", "metadata": {"region": "eu-west"}},
    False: {"choices": [{"finish_reason": "stop", "message": {"content": "x"}}]},
}


@pytest.fixture
def received() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The address of a provider, and the bodies that come to it, by the first part of the path."""
    bodies: dict[str, bytes] = {}

    class Provider(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies[self.path.split("/")[1]] = self.rfile.read(int(self.headers["Content-Length"]))
            answer = json.dumps(ANSWERS["inference" in self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()


def test_a_job_without_parameters_sends_what_it_has_always_sent(
    received: tuple[str, dict[str, bytes]], db: Database, start: Start, tmp_path: Path
) -> None:
    url, bodies = received
    (tmp_path / "regions.toml").write_text(REGIONS.format(url=url), "utf-8")
    job_id = submit(db, submission(regions=ALL, questions=(QUESTION,))).job_id
    start(load_catalogue(tmp_path / "regions.toml", allow_sandbox=False)).run(*((job_id, region) for region in ALL))
    assert {region: re.sub(r'"seed": \d+', '"seed": 1', body.decode()) for region, body in bodies.items()} == GOLDEN
    seeds = {region: json.loads(body).get("seed") for region, body in bodies.items()}
    assert seeds == {
        "US": seed_of(job_id, "US", "m1", QUESTION, 1),
        "EU": None,
        "ASIA": seed_of(job_id, "ASIA", "m1", QUESTION, 1),
    }
