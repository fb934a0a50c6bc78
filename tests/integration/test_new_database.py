"""On a new database PostgreSQL has no statistics: what a worker or a publisher asks is found by key all the same.

Otherwise each batch reads every row that was written since, until autovacuum has looked at the tables.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from runner_core.session_kinds import SESSIONS
from tests.explain import plain, prepared
from tests.integration.typical import CASES
from tests.jobs import opened, settings_for

Conn = psycopg.Connection[Any]
GROWING = {
    "jobs",
    "executions",
    "answers",
    "tries",
    "region_runs",
    "outbox",
    "job_events",
    "nonces",
    "idempotency_keys",
}
SCANS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan"}
# Whole indexes of rows that are few at any time (messages that wait, leases, sets of regions), or of people's labels.
SHORT = {
    "analyst": {"answer_labels_human_idx"},
    "publisher": {"jobs_open_regions_idx", "outbox_dead_idx", "outbox_unprocessed_idx", "region_runs_leased_idx"},
    "worker": set[str](),
}
ASKED = [
    pytest.param(kind, name, number, id=f"{name}-{kind}-{number}")
    for kind, session in SESSIONS.items()
    if session.by_key
    for name, cases in CASES.items()
    for number, case in enumerate(cases)
    if kind in case.processes.split()
]


@pytest.fixture(scope="module")
def sessions(shared_database_url: str) -> Iterator[dict[str, Conn]]:
    """A connection of each kind of process, with that kind's settings."""
    with ExitStack() as stack:
        found: dict[str, Conn] = {}
        for kind in (kind for kind, session in SESSIONS.items() if session.by_key):
            db = stack.enter_context(opened(settings_for(shared_database_url), kind))
            found[kind] = stack.enter_context(db.pool.connection())
            plain(found[kind])
        yield found


@pytest.mark.parametrize(("kind", "name", "number"), ASKED)
def test_nothing_that_grows_is_read_from_end_to_end(
    sessions: dict[str, Conn], kind: str, name: str, number: int
) -> None:
    conn = sessions[kind]
    text, arguments = prepared(name, CASES[name][number].params)
    conn.execute(b"PREPARE asked AS " + text)
    try:
        explained = conn.execute(b"EXPLAIN (FORMAT JSON) EXECUTE asked" + arguments).fetchone()
    finally:
        conn.execute("DEALLOCATE asked")
    assert explained
    whole = {
        node.get("Index Name") or node["Relation Name"]
        for node in _nodes(explained[0][0]["Plan"])
        if node["Node Type"] in SCANS and "Index Cond" not in node
        if node["Node Type"] == "Bitmap Index Scan" or node["Relation Name"] in GROWING
    }
    assert whole <= SHORT[kind]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
