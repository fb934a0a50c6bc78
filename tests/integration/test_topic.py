"""The SQL function topic() has the rule of runner_core/message.py, and no statement pays for the call."""

import re
from typing import Any

import psycopg
import pytest

from runner_core.message import topic
from runner_core.queries import statements
from tests.cells import CELL
from tests.integration.typical import CASES
from tests.jobs import one, opened, settings_for, submission, submit

Conn = psycopg.Connection[Any]
CALL = re.compile(r"\btopic\(")
CALLERS = [name for name, statement in statements().items() if CALL.search(statement.sql.decode())]
ASKED = [
    pytest.param(name, process, case.params, id=f"{name}-{process}-{number}")
    for name in CALLERS
    for number, case in enumerate(CASES[name], 1)
    for process in case.processes.split()
]
# They look a region's newest message up.
BY_TOPIC = {"portal.regions", "sweep.doomed", "sweep.silent"}


@pytest.mark.parametrize("region", ["US", "EU", "ASIA", "R9", "EU-WEST-1", "Q" * 32])
def test_the_function_gives_the_name_that_python_gives(migrated: str, region: str) -> None:
    with psycopg.connect(migrated, autocommit=True) as conn:
        assert one(conn, "SELECT topic(%s)", region) == topic(region)


def test_the_statements_that_name_a_queue_call_the_function() -> None:
    assert set(CALLERS) == {"jobs.submit", "outbox.settle", "outbox.stage", "sweep.topics", *BY_TOPIC}


@pytest.mark.parametrize(("name", "process", "params"), ASKED)
def test_a_plan_holds_the_body_in_place_of_the_call(
    migrated: str, name: str, process: str, params: dict[str, Any]
) -> None:
    """PostgreSQL inlines a function only where the login may call the function."""
    with psycopg.connect(migrated) as conn:
        conn.execute(f"SET ROLE {CELL.login(process)}".encode())
        plan = explained(conn, name, params)
    assert "'beacon-'::text || lower(" in plan
    assert not CALL.search(plan)


@pytest.mark.parametrize("name", sorted(BY_TOPIC))
def test_the_newest_message_comes_from_the_index_of_job_and_topic(database_url: str, conn: Conn, name: str) -> None:
    with opened(settings_for(database_url)) as db:
        job_id = submit(db, submission()).job_id
    conn.execute(
        b"INSERT INTO outbox (job_id, topic, payload, processed_at) "
        b"SELECT %s, 'beacon-' || n %% 100, '{}', clock_timestamp() FROM generate_series(1, 20000) n",
        [job_id],
    )
    conn.execute(b"ANALYZE outbox")
    plan = explained(conn, name, CASES[name][0].params)
    assert "Index Scan using outbox_newest_idx" in plan
    assert re.search(r"Index Cond: \(\(\w+\.job_id = .*\) AND \(\w+\.topic = \('beacon-'::text \|\| lower\(", plan)


def explained(conn: Conn, name: str, params: dict[str, Any]) -> str:
    """Return the plan of a statement with the expressions of each node."""
    lines = conn.execute(b"EXPLAIN (VERBOSE) " + statements()[name].sql, params).fetchall()
    return "\n".join(line for (line,) in lines)
