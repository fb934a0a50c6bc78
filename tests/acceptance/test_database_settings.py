"""The real processes on a database whose settings are others than the server's own: as they are, and behind a pooler,
where each transaction has to ask for what it relies on."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from runner_cli.local import Local
from tests.acceptance.sender import job, post, submit, verify, wait_for_all
from tests.hostile import HOSTILE, set_for_database
from tests.jobs import one
from tests.scrape import logs

pytestmark = pytest.mark.parametrize(
    "servers",
    [None, pytest.param("pooler", marks=pytest.mark.needs("pgbouncer", "redis-server", "postgres"))],
    indirect=True,
    ids=["direct", "pooler"],
)
QUESTION = "日本の首都はどこですか?"


def test_jobs_run_through_whatever_settings_the_database_has(
    database_url: str, stack: Callable[..., Local], conn: "psycopg.Connection[Any]"
) -> None:
    set_for_database(database_url, HOSTILE)
    local = stack()
    spec = job(local, questions=[QUESTION])
    job_id = submit(local, spec)
    assert post(local, spec)[1]["idempotent"] is True
    wait_for_all(conn)
    assert one(conn, "SELECT status FROM jobs WHERE id = %s", job_id) == "completed"
    assert one(conn, "SELECT questions::text FROM jobs WHERE id = %s", job_id).count(QUESTION) == 1
    assert verify(local) == []
    for command in ("migrate", "doctor", "canary"):
        done = command_of(local, command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    for name, text in logs(local).items():
        assert " ERROR " not in text, (name, text)
        assert "Traceback" not in text, (name, text)


def command_of(local: Local, command: str) -> "subprocess.CompletedProcess[str]":
    """One of `beacon`'s commands beside the stack."""
    env = os.environ | dict(local.env) | {"BEACON_URL": local.api_url, "BEACON_KEY": str(local.signing_key)}
    return subprocess.run(
        [sys.executable, "-m", "runner_cli", command], env=env, capture_output=True, text=True, check=False, timeout=120
    )
