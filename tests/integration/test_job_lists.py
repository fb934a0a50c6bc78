"""What a list of jobs is filtered by, alone and together, page by page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from runner_core.limits import MAX_FEW, MAX_LOOKED
from runner_core.migrate import migrate
from runner_core.queries import rows
from runner_core.store import job_lists
from runner_core.store.job_lists import Filters
from tests.cells import CELL, at_database, database_of, in_cell
from tests.integration.api_client import Api, serving

ROWS = """
INSERT INTO jobs (id, status, plan, questions, min_regions, min_success_rate, timeout_seconds,
                  provider_timeout_seconds, queued_until, digest, spec, spec_raw, completed_at, created_at,
                  outcome, completed_units, failed_units, cancelled_units, name, submitter)
SELECT 'j-' || lpad(n::text, 5, '0'), CASE WHEN mod(n, 7) = 0 THEN 'failed' ELSE 'completed' END,
       jsonb_build_object('US', ARRAY['m1', CASE WHEN n = 5 THEN 'rare "model"' ELSE 'm2' END],
                          CASE WHEN mod(n, 2) = 0 THEN 'EU' ELSE 'ASIA' END, ARRAY['m1']),
       '[{"id": "q1", "text": "?"}]', 1, 1, 60, 30,
       now(), '', '{}', '', now(), now() - interval '1 day' + make_interval(secs => n),
       CASE WHEN mod(n, 7) = 0 THEN 'failed' ELSE 'completed' END, 3,
       CASE WHEN mod(n, 7) = 0 THEN 3 WHEN mod(n, 3) = 0 THEN 1 ELSE 0 END, 0,
       CASE WHEN mod(n, 10) = 0 THEN 'Weekly ' || n ELSE 'Nightly ' || n END, 'sender ' || mod(n, 4)
  FROM generate_series(1, %s) n
"""


def wanted(count: int, rule: Any) -> list[str]:
    """The ids of the jobs for which the rule holds, newest first."""
    return [f"j-{n:05}" for n in range(count, 0, -1) if rule(n)]


def every_page(api: Api, limit: int = 40, **query: Any) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        asked = {**query, "limit": limit} | ({"cursor": cursor} if cursor else {})
        page = api.get(f"/jobs?{urlencode(asked)}")
        assert len(page["jobs"]) <= limit
        found += [row["id"] for row in page["jobs"]]
        if (cursor := page["next_cursor"]) is None:
            return found


FILTERS = [
    ({"status": "partial"}, lambda n: n % 7 and n % 3 == 0),
    ({"status": "completed"}, lambda n: n % 7),
    ({"state": "completed"}, lambda n: n % 7 and n % 3),
    ({"state": "partial", "status": "completed"}, lambda n: n % 7 and n % 3 == 0),
    ({"state": "failed", "status": "partial"}, lambda _: False),
    ({"status": "failed"}, lambda n: n % 7 == 0),
    ({"status": "queued"}, lambda _: False),
    ({"failures": "1"}, lambda n: n % 7 == 0 or n % 3 == 0),
    ({"submitter": "sender 3"}, lambda n: n % 4 == 3),
    ({"submitter": "sender 3", "status": "partial"}, lambda n: n % 4 == 3 and n % 7 and n % 3 == 0),
    ({"submitter": "sender"}, lambda _: False),
    ({"region": "EU"}, lambda n: n % 2 == 0),
    ({"region": "MARS"}, lambda _: False),
    ({"model": "m2", "region": "US"}, lambda n: n != 5),
    ({"model": "m2", "region": "EU"}, lambda _: False),
    ({"model": 'rare "model"'}, lambda n: n == 5),
    ({"model": 'rare "model"', "failures": "1"}, lambda _: False),
    ({"q": "WEEKLY", "region": "EU"}, lambda n: n % 10 == 0),
    ({"q": "weekly 1"}, lambda n: n % 10 == 0 and str(n).startswith("1")),
    ({"q": "j-0000"}, lambda n: n < 10),
    ({"q": "j-"}, lambda _: True),
    ({"q": "nightly", "status": "failed"}, lambda n: n % 10 and n % 7 == 0),
    ({"q": "nobody"}, lambda _: False),
]
CAPITALS = ("Änderung nachts", "ÄNDERUNG NACHTS", "änderung nachts", "Under way")


@pytest.mark.parametrize("count", [60, MAX_LOOKED + MAX_FEW])
def test_each_filter_finds_every_job_once_and_newest_first(api: Api, count: int) -> None:
    api.sql(ROWS, count)
    for query, rule in FILTERS:
        limit = 40 if count < MAX_LOOKED else 200
        assert every_page(api, limit, **query) == wanted(count, rule), query


def test_since_is_a_time_or_an_age(api: Api) -> None:
    api.sql(ROWS, 20)
    job_id = api.submit()
    assert every_page(api, since="2h") == [job_id]
    assert len(every_page(api, since="7d")) == 21
    at = api.sql("SELECT created_at FROM jobs WHERE id = 'j-00015'")[0][0].isoformat()
    assert every_page(api, since=at, status="failed") == []
    assert every_page(api, since=at) == [job_id, *wanted(20, lambda n: n >= 15)]
    assert every_page(api, since=at, model="m2") == wanted(20, lambda n: n >= 15)


@pytest.mark.parametrize(
    "query", ["since=yesterday", "failures=yes", "status=done", "state=done", "model=%00", f"q={'x' * 300}"]
)
def test_a_mistaken_filter_is_refused(api: Api, query: str) -> None:
    answer = api.client.get(f"/api/v1/jobs?{query}")
    assert (answer.status_code, answer.get_json()["error_code"]) == (422, "validation_error")


def test_a_page_looks_at_a_bounded_number_of_jobs(api: Api) -> None:
    """Where too many jobs have a name to be sorted, and none of the newest does, the page says where it stopped."""
    api.sql(ROWS, 2 * MAX_LOOKED)
    old = MAX_FEW + 100
    api.sql("UPDATE jobs SET name = 'Archive' WHERE id <= %s", f"j-{old:05}")
    first = api.get("/jobs?q=archive")
    assert first["jobs"] == []
    assert first["next_cursor"]
    assert every_page(api, 200, q="archive") == wanted(old, lambda _: True)
    shown = api.client.get("/?q=archive").text
    assert "None of the newest 1,000 of these jobs matches." in shown
    assert "Look further" in shown


def test_a_model_and_a_region_that_meet_in_no_job_read_few_jobs(api: Api) -> None:
    """The index knows that m2 and EU are in many jobs, and not that no job asks m2 in EU."""
    api.sql(ROWS, 60)
    wanted = Filters(model="m2", region="EU")
    with api.db.transaction() as conn:
        read = rows(conn, "lists.planned", path=wanted.path, in_any=wanted.path_in_any, most=5)
    assert [row["planned"] for row in read] == [False] * 5


def test_an_index_that_can_tell_no_more_is_not_asked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first job of a region comes from the index, PostgreSQL reads the entries of all its jobs."""
    api.sql(ROWS, 3 * MAX_LOOKED)
    asked: list[str] = []
    monkeypatch.setattr(
        job_lists, "rows", lambda conn, name, **params: (asked.append(name), rows(conn, name, **params))[1]
    )
    for region, last in (("US", "lists.with_failures"), ("MARS", "lists.in_region")):
        asked.clear()
        wanted = Filters(region=region, failures=True, state="queued")
        with api.db.transaction() as conn:
            job_lists.matching(conn, wanted, job_lists.FIRST, 50)
        assert asked[-1] == last


@pytest.fixture
def ascii_api(database_url: str, tmp_path: Path) -> Iterator[Api]:
    """The API on a database with the locale C, which knows small letters of ASCII only."""
    name = f"{database_of(database_url)}_c"
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'".encode())
        try:
            url = in_cell(at_database(database_url, name), CELL.schema)
            migrate(url)
            (tmp_path / "c").mkdir()
            with serving(url, tmp_path / "c") as api:
                assert api.sql("SELECT lower('Ä')") == [("Ä",)]
                yield api
        finally:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_capitals_of_any_script_are_found(api: Api, ascii_api: Api) -> None:
    """An exact beginning, and one in small letters or in capitals only."""
    for one in (api, ascii_api):
        for name in CAPITALS:
            one.submit(benchmark=one.job()["benchmark"] | {"name": name})
        one.sql(ROWS, 60)
        for q in ("änd", "ÄND", "Änd", "Änderung N"):
            found = one.get(f"/jobs?{urlencode({'q': q})}")["jobs"]
            assert {row["name"] for row in found} == set(CAPITALS[:3]), q
