"""Every statement that is fed by arrays bears empty ones: what a batch does not hold is no mistake."""

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from runner_core import queries
from runner_core.queries import run, statements
from runner_core.store import answers, executions, jobs, outbox, region_runs

Conn = psycopg.Connection[Any]
ARRAY = re.compile(rb"%\((\w+)\)s::[a-z]+\[\]")
FED = [name for name, statement in statements().items() if ARRAY.search(statement.sql)]

CURSORS = ("answers.start", "executions.record", "region_runs.claim", "region_runs.hold")  # what these return
STORE: dict[str, Callable[[Conn], object]] = {
    "answers.start": lambda conn: answers.start(conn, []),
    "answers.finish": lambda conn: answers.finish(conn, []),
    "executions.record": lambda conn: executions.record(conn, []),
    "executions.kept": lambda conn: executions.kept(conn, []),
    "jobs.submit": lambda conn: jobs.submit(conn, [], queue_timeout_seconds=1),
    "jobs.repeats": lambda conn: jobs.repeats(conn, []),
    "outbox.mark": lambda conn: outbox.mark(conn, []),
    "outbox.fail": lambda conn: outbox.fail(conn, [], max_attempts=1, dead_after_seconds=1),
    "outbox.stage": lambda conn: outbox.stage(conn, []),
    "reads.watched": lambda conn: queries.rows(conn, "reads.watched", job_ids=[]),
    "region_runs.claim": lambda conn: region_runs.claim(conn, {}, worker="w", lease_seconds=1, max_attempts=1),
    "region_runs.stored": lambda conn: region_runs.stored(conn, []),
    "region_runs.hold": lambda conn: region_runs.hold(conn, []),
    "region_runs.beat": lambda conn: region_runs.beat(conn, [], 1.0),
    "region_runs.lost": lambda conn: region_runs.lost(conn, []),
    "region_runs.release": lambda conn: region_runs.release(conn, [], []),
}


@pytest.mark.parametrize("name", FED)
def test_a_statement_bears_empty_arrays(conn: Conn, name: str) -> None:
    text = statements()[name].sql
    empty = {parameter.decode() for parameter in ARRAY.findall(text)}
    every = {parameter.decode() for parameter in re.findall(rb"%\((\w+)\)s", text)}
    run(conn, name, **{parameter: [] if parameter in empty else None for parameter in every})


@pytest.mark.parametrize("name", STORE)
def test_a_function_of_the_store_bears_an_empty_batch(conn: Conn, name: str) -> None:
    assert not STORE[name](conn) or name in CURSORS
