"""A job over a kind of provider that another distribution brings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_core.db import Database
from tests.engine import Start
from tests.foreign_kinds import ECHO, installed
from tests.jobs import catalogue, query, submission, submit

Conn = psycopg.Connection[Any]


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Path]:
    """A folder with the distribution, which this process finds."""
    with installed(tmp_path, "beacon-test-echo", ECHO, {"echo": "Echo"}):
        yield tmp_path


def test_it_answers_a_job_and_its_mistake_ends_one_call_alone(
    db: Database, conn: Conn, echo: Path, start: Start
) -> None:
    engine = start(catalogue(echo, {"US": {"kind": "echo"}}))
    job_id = submit(db, submission(regions=("US",), questions=("q1", "break"))).job_id
    assert engine.run((job_id, "US")) == ["finished"]
    rows = query(conn, "SELECT question_id, status, output, error ->> 'code' AS code FROM answers ORDER BY 1")
    assert [(row["question_id"], row["status"], row["code"]) for row in rows] == [
        ("break", "failed", "adapter_failed"),
        ("q1", "ok", None),
    ]
    assert rows[1]["output"]["response"] == "?ti si tahW\ufffd"
    assert query(conn, "SELECT status FROM executions") == [{"status": "completed"}]
    again = submit(db, submission(regions=("US",), questions=("q2",))).job_id
    assert engine.run((again, "US")) == ["finished"]
    assert query(conn, "SELECT status FROM jobs") == [{"status": "completed"}] * 2
