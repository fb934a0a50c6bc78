"""A database with a job of each kind, and what `beacon verify` finds broken in it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_cli.invariants import Verdict, check
from runner_core.db import Database
from runner_core.settings import Settings
from tests.engine import running
from tests.jobs import catalogue, opened, settings_for, submission, submit

TESTER = Actor("tester")


@pytest.fixture
def settings(database_url: str) -> Settings:
    return settings_for(database_url)


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    with opened(settings) as db:
        yield db


@pytest.fixture
def world(db: Database, tmp_path: Path) -> None:
    """A job of each kind: done, partly failed, retried, cancelled, running, waiting."""
    regions = ("US", "EU", "ASIA")
    failing = catalogue(tmp_path, {"EU": {"options": {"fail": "http_400"}}})
    for name in ("done", "failed", "retried"):
        submit(db, submission(name, regions=regions, models=("m1", "m2"), questions=("q1", "q2"), min_regions=2))
    with running(db, failing) as engine:
        for name in ("done", "failed", "retried"):
            assert engine.run(*((name, region) for region in regions)) == ["finished"] * 3
    retry_job(db, "retried", Wanted("EU", "m1"), TESTER, "action-1")
    with running(db, catalogue(tmp_path)) as engine:
        assert engine.run(("retried", "EU")) == ["finished"]
    submit(db, submission("cancelled"))
    cancel_job(db, "cancelled", TESTER, "action-2")
    submit(db, submission("waiting"))
    submit(db, submission("running"))
    hanging = catalogue(tmp_path, {"US": {"options": {"hang": True}}})
    with running(db, hanging) as engine:
        engine.take(("running", "US"))


@pytest.fixture
def broken(database_url: str, settings: Settings) -> Callable[..., dict[str, Verdict]]:
    """Returns what is broken, by name."""

    def look(**options: Any) -> dict[str, Verdict]:
        return {v.name: v for v in check(database_url, settings, **options) if v.broken}

    return look
