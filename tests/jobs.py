"""Jobs, settings and databases for tests: the real ones, with short names."""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from runner_api.verbs.submit import Accepted, Sender, shared_submissions, submit_job
from runner_core.db import Database
from runner_core.jobspec import Question, Submission
from runner_core.regions import Catalogue, load_catalogue
from runner_core.settings import Settings

T = TypeVar("T")
_numbers = itertools.count(1)
ALL = ("US", "EU", "ASIA")
TEXTS = {"q1": "What is it?", "q2": "Why is it?", "q3": "Where is it?", "q4": "Who is it?"}


def settings_for(database_url: str, redis_url: str = "redis://127.0.0.1:9/0", **env: object) -> Settings:
    """Settings from an environment of the test's own: names in lower case, values as they would be written there."""
    base = {
        "BEACON_TEST": "1",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "ALLOW_SANDBOX": "1",
        "REDIS_TIMEOUT_SECONDS": "1",
    }
    return Settings.from_env(base | {name.upper(): str(value) for name, value in env.items()}, "worker")


@contextmanager
def opened(settings: Settings, kind: str = "test", size: int | None = None) -> Iterator[Database]:
    """An open database, closed at the end."""
    db = Database(settings, kind, size=size).open()
    try:
        yield db
    finally:
        db.close()


def submission(
    job_id: str | None = None,
    *,
    regions: Sequence[str] = ("US", "EU"),
    models: Sequence[str] = ("m1",),
    questions: Sequence[str] = ("q1",),
    plan: dict[str, list[str]] | None = None,
    **changes: Any,
) -> Submission:
    """A valid unsigned job; `changes` are fields of Submission."""
    job_id = job_id or f"job-{next(_numbers)}"
    spec = {"id": job_id, "version": "v1"}
    made = Submission(
        job_id=job_id,
        spec=spec,
        spec_raw=b"{}",
        plan=plan or {region: list(models) for region in regions},
        questions=[Question(q, TEXTS.get(q, q)) for q in questions],
        runs=1,
        min_regions=1,
        min_success_rate=Decimal("0.67"),
        timeout_seconds=60.0,
        provider_timeout_seconds=30.0,
        enable_analysis=None,
        digest=hashlib.sha256(job_id.encode()).digest(),
        public_key=None,
        signature_form=None,
        nonce=None,
        created_by=None,
    )
    return replace(made, **changes)


def submit(db: Database, job: Submission, key: str | None = None) -> Accepted:
    """Accept a job as the API does."""
    return submit_job(db, shared_submissions(db), job, Sender(actor="test", key=key, request_id="r-1", traceparent=""))


def submit_many(db: Database, count: int, **shape: Any) -> list[str]:
    """Accept `count` jobs of one shape; their ids."""
    return [submit(db, submission(**shape)).job_id for _ in range(count)]


def catalogue(folder: Path, providers: dict[str, dict[str, Any]] | None = None, models: str = "m1 m2") -> Catalogue:
    """Regions US, EU and ASIA; `providers` changes keys of a region's provider, a simulated one unless said so."""
    lines = ['default_model = "m1"', "[questions]", *(f'{q} = "{text}"' for q, text in TEXTS.items())]
    for region in ALL:
        lines += [f"[regions.{region}]", f'display = "{region}"', f'system_prompt = "You are in {region}."']
    for region in ALL:
        provider = {"id": f"p-{region.lower()}", "region": region, "kind": "sandbox", "max_concurrency": 64}
        provider |= (providers or {}).get(region, {})
        lines += ["[[providers]]", *(f"{name} = {_toml(value)}" for name, value in provider.items())]
        lines += ["[providers.models]", *(f'{model} = "{model}"' for model in models.split())]
    path = folder / "regions.toml"
    path.write_text("\n".join(lines))
    return load_catalogue(path, allow_sandbox=True)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value)


def query(conn: psycopg.Connection[Any], sql: str, *values: Any) -> list[dict[str, Any]]:
    """Rows of a look into the database, as dictionaries."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql.encode(), values or None).fetchall()


def one(conn: psycopg.Connection[Any], sql: str, *values: Any) -> Any:
    """The first column of the first row."""
    row = conn.execute(sql.encode(), values or None).fetchone()
    return row[0] if row else None


def until(look: Callable[[], T], seconds: float = 60.0) -> T:
    """Look again until what is seen is true; it is returned. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true within {seconds} s: {look.__name__}")
        time.sleep(0.02)  # what is waited for needs the CPU more
    return seen


def wait_until_blocked(db: Database) -> None:
    """Return when some session waits for a lock."""
    for _ in range(10_000):
        with db.transaction(pipeline=False) as conn:
            found = conn.execute(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchone()
        if found:
            return
    raise AssertionError("nobody waits")
