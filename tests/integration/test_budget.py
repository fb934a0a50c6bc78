"""No statement's cost grows with the database: what each reads of 120,000 jobs, as the process that runs it would."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_core import queries
from runner_core.limits import MAX_COUNTED
from runner_core.queries import rows, statements
from runner_core.session_kinds import SESSIONS
from runner_core.store import jobs
from tests.explain import buffers, plain, prepared, read
from tests.integration import crowd
from tests.integration.api_client import serving
from tests.integration.typical import CASES
from tests.integration.typical_parameters import LEFT_OUT, USUAL, Case
from tests.jobs import opened, settings_for

Conn = psycopg.Connection[Any]
LARGE = ("jobs", "executions", "answers", "outbox", "job_events")
TRIES = 7  # after five, PostgreSQL may choose a plan for all parameters, which is another
ASKED = [
    pytest.param(name, process, case, id=f"{name}-{process}-{number}")
    for name, cases in CASES.items()
    for number, case in enumerate(cases, 1)
    for process in case.processes.split()
]
BLOCKS = """
SELECT sum(pg_stat_get_xact_blocks_fetched(oid)) AS blocks,
       sum(pg_stat_get_xact_numscans(oid)) FILTER (WHERE relkind = 'r' AND relname = ANY (%s)) AS scans
  FROM pg_class WHERE relnamespace = current_schema()::regnamespace OR relname LIKE 'pg_toast%%'
"""


@pytest.fixture(scope="module")
def crowded(shared_database_url: str) -> str:
    """The owner's URL of a database with 100,000 ended and 20,000 queued jobs."""
    crowd.fill(shared_database_url)
    return shared_database_url


@pytest.fixture(scope="module")
def sessions(crowded: str) -> Iterator[dict[str, Conn]]:
    """A connection of each kind of process, with that kind's settings; doctor's has none."""
    found: dict[str, Conn] = {}
    with ExitStack() as stack:
        found["doctor"] = stack.enter_context(psycopg.connect(crowded, autocommit=True))
        for kind in SESSIONS:
            db = stack.enter_context(opened(settings_for(crowded), kind))
            found[kind] = stack.enter_context(db.pool.connection())
            plain(found[kind])
        yield found


def test_every_statement_has_its_typical_parameters() -> None:
    """A new statement, or a new parameter, goes into a table of typical.py or typical_reads.py."""
    assert set(CASES) == set(statements()) - LEFT_OUT
    assert statements().keys() >= LEFT_OUT
    for name, cases in CASES.items():
        wanted = set(re.findall(r"%\((\w+)\)s", statements()[name].sql.decode()))
        assert [set(case.params) for case in cases] == [wanted] * len(cases), name
        assert all(case.why or case.most == USUAL for case in cases), name
    assert {process for cases in CASES.values() for case in cases for process in case.processes.split()} == {
        *SESSIONS,
        "doctor",
    }


@pytest.mark.parametrize(("name", "process", "case"), ASKED)
def test_a_statement_keeps_to_its_budget(sessions: dict[str, Conn], name: str, process: str, case: Case) -> None:
    """Planned for the session that runs it, whichever plan comes; and no large table is read from end to end."""
    conn = sessions[process]
    text, arguments = prepared(name, case.params)
    conn.execute(b"PREPARE asked AS " + text)
    try:
        looks = [_explain(conn, arguments) for _ in range(TRIES)]
    finally:
        conn.execute("DEALLOCATE asked")
    assert max(blocks for blocks, _, _ in looks[1:]) <= case.most  # the first reads the catalogue too
    assert not {table for _, scanned, _ in looks for table in scanned}
    assert not sum(scans for _, _, scans in looks), "a function reads a whole table"


def _explain(conn: Conn, arguments: bytes) -> tuple[int, set[str], int]:
    """Run it once and take it back: the buffers read, the large tables scanned, and such scans inside functions."""
    with conn.transaction(force_rollback=True):
        before = conn.execute(BLOCKS, [list(LARGE)]).fetchone()
        explained = read(conn, "asked", arguments)
        after = conn.execute(BLOCKS, [list(LARGE)]).fetchone()
    assert before
    assert after
    scans = (node for node in _nodes(explained["Plan"]) if node["Node Type"] == "Seq Scan")
    scanned = {node["Relation Name"] for node in scans} & set(LARGE)
    # What triggers read is not in the plan; what PostgreSQL's own tables cost is only there.
    blocks = max(buffers(explained), after[0] - before[0])
    return int(blocks), scanned, int(after[1] - before[1])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def test_a_backlog_is_counted_to_ten_thousand_for_each_region(sessions: dict[str, Conn]) -> None:
    """A crowd in one region hides none of another's."""
    numbers = range(crowd.ENDED + 1, crowd.ENDED + crowd.QUEUED + 1)
    exact = Counter(crowd.region(n) for n in numbers)
    assert exact["US"] > MAX_COUNTED > exact["EU"] > exact["ASIA"] > 0
    expected = {region: min(number, MAX_COUNTED) for region, number in exact.items()}
    assert {row["region"]: row["depth"] for row in queries.rows(sessions["api"], "reads.queues")} == expected
    gauges = rows(sessions["publisher"], "metrics.regions", alive_seconds=1)
    assert {row["region"]: row["depth"] for row in gauges} == expected
    assert queries.single(sessions["api"], "metrics.outbox", most=MAX_COUNTED)["waiting"] == MAX_COUNTED
    late = jobs.late(sessions["api"], 45, 50)
    assert [job["reason"] for job in late] == ["queued"] * 50
    assert late[0]["id"] == crowd.job_id(crowd.ENDED + 1), "the oldest first"


def test_the_page_says_that_there_are_more(crowded: str, tmp_path: Path) -> None:
    with serving(crowded, tmp_path) as api:
        page = api.client.get("/operations").text
    assert re.search(r'Jobs of US">US</a></th><td[^>]*>10,000\+</td>', page)
    assert "<b>10,000+</b></a> waiting" in page
    assert "<b>50+</b>" in page
