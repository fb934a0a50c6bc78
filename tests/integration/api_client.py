"""The API for tests: the real application on a real database under the API's own login, and a worker's hand to finish
regions with."""

import json
import uuid
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from runner_api.app import create_app
from runner_api.http.watch import Watchers
from runner_core import endings
from runner_core.cells import cell_of
from runner_core.db import Database
from runner_core.keys import PrivateKey
from runner_core.queries import run
from runner_core.regions import load_catalogue
from runner_core.settings import Settings
from runner_core.signing import sign
from runner_core.store import answers, executions, region_runs
from runner_core.store.answers import Finished, Started
from runner_core.store.executions import Ended
from runner_core.trust import TrustList

ADMIN = "an-administrator's-token-for-tests-0123456789"
ADMIN_HEADER = {"Authorization": f"Bearer {ADMIN}"}
PASSWORD = "of-a-test"
TABLES = ("jobs", "idempotency_keys", "nonces", "outbox", "job_events", "region_runs", "executions", "answers")

REGIONS = """\
default_model = "m1"
[questions]
q1 = "What is one?"
q2 = "What is two?"
identity_basic = "Who are you?"
[regions.US]
aliases = ["us-east", "us-central", "us-west"]
[regions.EU]
aliases = ["eu-west", "europe-west", "eu-central", "Europe"]
[regions.ASIA]
aliases = ["APAC", "asia-pacific", "asia-southeast"]
[[providers]]
id = "sandbox-us"
region = "US"
kind = "sandbox"
models = { m1 = "m1", m2 = "m2", "llama3.2-1b" = "llama" }
[[providers]]
id = "sandbox-eu"
region = "EU"
kind = "sandbox"
models = { m1 = "m1", m2 = "m2", "llama3.2-1b" = "llama" }
[[providers]]
id = "sandbox-asia"
region = "ASIA"
kind = "sandbox"
models = { m1 = "m1" }
"""


def as_role(url: str, role: str) -> str:
    """The URL of the same database for one of the processes' own logins."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'")
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{PASSWORD}@{parts.hostname}:{parts.port}"))


class Api:
    """The application, its client, the key that it trusts, and the owner's view of the database."""

    def __init__(self, url: str, folder: Path, **env: str) -> None:
        self.owner_url = url
        self.key = PrivateKey.generate()
        self.env = {
            "DATABASE_URL": as_role(url, cell_of(url).login("api")),
            "REGIONS_FILE": str(folder / "regions.toml"),
            "TRUSTED_KEYS_FILE": str(folder / "keys.json"),
            "ALLOW_SANDBOX": "1",
            "ADMIN_TOKENS": f"tester:{ADMIN}",
            **env,
        }
        (folder / "regions.toml").write_text(REGIONS)
        self.keys_file = folder / "keys.json"
        self.trust(self.key)
        settings = Settings.from_env(self.env, "api")
        self.settings = settings
        self.db = Database(settings, "api").open()
        self.catalogue = load_catalogue(settings.jobs.regions_file, allow_sandbox=True)
        trust = TrustList.load(settings.api.trusted_keys_file) if settings.api.trust_enforce else None
        self._watchers = Watchers(self.db)
        self.app: Flask = create_app(settings, self.db, self.catalogue, trust, self._watchers)
        self.client: FlaskClient = self.app.test_client()
        self.worker = Database(Settings.from_env({"DATABASE_URL": url}), "test", size=2).open()

    def close(self) -> None:
        self._watchers.stop()  # its thread would look for a database that is gone, until the run ends
        self.db.close()
        self.worker.close()

    def trust(self, *keys: PrivateKey, **fields: str) -> None:
        entries = [
            {"kid": f"k{n}", "public_key": k.public_key, "status": "active", **fields} for n, k in enumerate(keys)
        ]
        self.keys_file.write_text(json.dumps(entries))

    def job(self, **changes: Any) -> dict[str, Any]:
        """A signed, fresh job in US and EU for m1 with two questions. None as a change leaves the field out."""
        return sign(unsigned(**changes), self.key)

    def post(self, spec: Any, path: str = "/api/v1/jobs", **headers: str) -> TestResponse:
        raw = spec if isinstance(spec, bytes) else json.dumps(spec).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, data=raw, headers={"Content-Type": "application/json", **sent})

    def submit(self, **changes: Any) -> str:
        """Submit a job; returns its id."""
        answer = self.post(self.job(**changes))
        assert answer.status_code == 202, answer.text
        job_id: str = answer.get_json()["id"]
        return job_id

    def get(self, path: str, **headers: str) -> Any:
        answer = self.client.get(f"/api/v1{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def sql(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        """What the owner sees."""
        with psycopg.connect(self.owner_url, autocommit=True) as conn:
            cursor = conn.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def counts(self) -> dict[str, int]:
        """Rows of every table."""
        return {table: self.sql(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}  # noqa: S608 - our names

    def claim(self, job_id: str, region: str) -> str:
        """Take a region as a worker does; returns its token."""
        with self.worker.transaction() as conn:
            tokens = {(job_id, region): str(uuid.uuid4())}
            claimed = region_runs.claim(conn, tokens, worker="hand", lease_seconds=60, max_attempts=3).fetchall()
        token: str = claimed[0]["token"]
        return token

    def answer(self, job_id: str, region: str, token: str, results: Mapping[tuple[str, str], str | None]) -> None:
        """Store answers by (model, question): a text, or None for a failure."""
        now = datetime.now(UTC)
        provider = f"sandbox-{region.lower()}"
        started = [Started(job_id, region, model, question, 1, provider, token) for model, question in sorted(results)]
        finished = [
            Finished(
                job_id,
                region,
                model,
                question,
                1,
                token,
                1,
                "failed" if text is None else "ok",
                provider,
                1,
                now,
                5,
                None if text is None else json.dumps(output(text)),
                json.dumps(failure(f"no answer to {question}")) if text is None else None,
                "[]",
            )
            for (model, question), text in sorted(results.items())
        ]
        with self.worker.transaction() as conn:
            answers.start(conn, started).fetchall()
            answers.finish(conn, finished)

    def record(self, job_id: str, region: str, token: str, units: Mapping[str, bool], receipt: bool = False) -> None:
        """Record executions by model, completed or failed, and close what has ended."""
        now = datetime.now(UTC)
        ended = [
            Ended(
                job_id,
                region,
                model,
                token,
                "completed" if good else "failed",
                f"sandbox-{region.lower()}",
                now,
                now,
                7,
                0,
                0,
                None if good else json.dumps(failure("the provider is away")),
                json.dumps({"answers": []}),
                json.dumps({"temperature": 0.1}),
                json.dumps({"job_id": job_id, "signature": "s"}) if receipt else None,
            )
            for model, good in sorted(units.items())
        ]
        with self.worker.transaction() as conn:
            run(conn, "jobs.lock", job_ids=[job_id])
            region_runs.hold(conn, [(job_id, region, token)]).fetchall()
            executions.record(conn, ended).fetchall()
            endings.close(conn, [job_id])

    def finish(self, job_id: str, region: str, units: Mapping[str, bool]) -> None:
        """Run a whole region: every question of a good unit is answered, none of a bad one."""
        token = self.claim(job_id, region)
        questions = [q["id"] for q in self.sql("SELECT questions FROM jobs WHERE id = %s", job_id)[0][0]]
        self.answer(
            job_id,
            region,
            token,
            {(model, q): f"{model} says {q}" if good else None for model, good in units.items() for q in questions},
        )
        self.record(job_id, region, token, units)


def unsigned(**changes: Any) -> dict[str, Any]:
    """The job that Api.job signs."""
    number = uuid.uuid4().hex
    spec: dict[str, Any] = {
        "id": f"job-{number}",
        "version": "v1",
        "benchmark": {
            "name": "probe",
            "container": {"image": "ghcr.io/example/probe:1"},
            "input": {"type": "prompt", "hash": "sha256:placeholder"},
        },
        "constraints": {"regions": ["US", "EU"], "min_regions": 1},
        "models": ["m1"],
        "questions": ["q1", "q2"],
        "metadata": {"timestamp": stamp(), "nonce": uuid.uuid4().hex, "created_by": "tests"},
    }
    return {name: value for name, value in (spec | changes).items() if value is not None}


def stamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def output(text: str) -> dict[str, Any]:
    return {
        "response": text,
        "refused": False,
        "refusal_source": None,
        "finish_reason": "stop",
        "usage": {"total_tokens": 3},
        "simulated": True,
    }


def failure(message: str) -> dict[str, Any]:
    return {"code": "http_503", "type": "provider", "stage": "call", "message": message, "transient": True}


@contextmanager
def serving(url: str, folder: Path, **env: str) -> Any:
    """An Api, closed at the end."""
    api = Api(url, folder, **env)
    try:
        yield api
    finally:
        api.close()
