"""Lists of jobs and executions: order, pages, cursors, what a query costs."""

from base64 import b64encode
from typing import Any

import psycopg
import pytest

from runner_core.queries import statements
from tests.integration.api_client import Api
from tests.integration.result_rows import EXECUTION


def test_jobs_are_listed_newest_first_and_paged_by_place(api: Api) -> None:
    ids = [api.submit() for _ in range(5)]
    api.claim(ids[1], "US")
    first = api.get("/jobs?limit=2")
    assert [j["id"] for j in first["jobs"]] == [ids[4], ids[3]]
    assert set(first["jobs"][0]) == {
        "id",
        "status",
        "cross_region_status",
        "created_at",
        "updated_at",
        "regions",
        "models",
        "name",
        "submitter",
        "failed_units",
    }
    assert sorted(first["jobs"][0]["regions"]) == ["EU", "US"]
    assert first["jobs"][0]["models"] == ["m1"]
    api.submit()  # what comes meanwhile moves nothing
    second = api.get(f"/jobs?limit=2&cursor={first['next_cursor']}")
    assert [j["id"] for j in second["jobs"]] == [ids[2], ids[1]]
    third = api.get(f"/jobs?limit=2&cursor={second['next_cursor']}")
    assert ([j["id"] for j in third["jobs"]], third["next_cursor"]) == ([ids[0]], None)
    assert [j["id"] for j in api.get("/jobs?status=running")["jobs"]] == [ids[1]]
    assert api.get("/jobs?status=failed") == {"jobs": [], "next_cursor": None}


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "limit=x", "limit=-1", "limit=", "limit=1e2", f"limit={'9' * 40}"),
        *("status=done", "cursor=x", f"cursor={'A' * 99}"),
        *(
            f"cursor={b64encode(place).decode()}"
            for place in (b"2026-99-99T00:00:00Z a", b"0001-01-01T00:00:00+23:00 a")
        ),
    ],
)
def test_a_list_asked_for_wrongly(api: Api, query: str) -> None:
    answer = api.client.get(f"/api/v1/jobs?{query}")
    assert (answer.status_code, answer.get_json()["error_code"]) == (422, "validation_error")


def test_executions_of_all_jobs(api: Api) -> None:
    job_id = api.submit(models=["m1", "m2"])
    api.finish(job_id, "US", {"m1": True, "m2": False})
    listed = api.get("/executions?limit=1&offset=1")
    assert (len(listed["executions"]), listed["limit"], listed["offset"]) == (1, 1, 1)
    both = api.get("/executions")["executions"]
    assert {(r["model_id"], r["status"]) for r in both} == {("m1", "completed"), ("m2", "failed")}
    assert all(set(r) == EXECUTION for r in both)
    assert api.client.get("/api/v1/executions?offset=-1").status_code == 422


def test_executions_are_read_on_with_a_cursor(api: Api) -> None:
    """Page by page every execution comes once, newest first, and what ends meanwhile moves no page."""
    jobs = [api.submit(constraints={"regions": ["US"]}) for _ in range(5)]
    for job_id in jobs:
        api.finish(job_id, "US", {"m1": True})
    everything = [row["id"] for row in api.get("/executions")["executions"]]
    assert len(everything) == 5
    assert api.get("/executions")["next_cursor"] is None
    first = api.get("/executions?limit=2")
    api.finish(api.submit(constraints={"regions": ["US"]}), "US", {"m1": True})
    second = api.get(f"/executions?limit=2&cursor={first['next_cursor']}")
    third = api.get(f"/executions?limit=2&cursor={second['next_cursor']}")
    assert [row["id"] for page in (first, second, third) for row in page["executions"]] == everything
    assert third["next_cursor"] is None
    skipped = api.get(f"/executions?limit=2&offset=1&cursor={first['next_cursor']}")
    assert [row["id"] for row in skipped["executions"]] == everything[3:5]


@pytest.mark.parametrize("offset", ["10001", "1000000", "9" * 30])
def test_a_large_offset_is_refused_with_the_way_out(api: Api, offset: str) -> None:
    answer = api.client.get(f"/api/v1/executions?offset={offset}")
    assert (answer.status_code, answer.get_json()["error_code"]) == (400, "offset_too_large")
    assert "next_cursor" in answer.get_json()["detail"]
    assert api.get("/executions?offset=10000")["executions"] == []


@pytest.mark.parametrize(
    "query",
    ["offset=-1", "offset=x", "offset=1e3", "cursor=x", f"cursor={b64encode(b'2026-01-01T00:00:00Z job').decode()}"],
)
def test_executions_asked_for_wrongly(api: Api, query: str) -> None:
    """A cursor of the list of jobs is none of this list."""
    answer = api.client.get(f"/api/v1/executions?{query}")
    assert (answer.status_code, answer.get_json()["error_code"]) == (422, "validation_error")


@pytest.mark.parametrize(
    ("name", "index", "values"),
    [
        ("reads.jobs", "jobs_created_idx", {}),
        ("reads.jobs_by_status", "jobs_by_status_idx", {"status": "queued"}),
        ("reads.jobs_by_status", "jobs_by_status_idx", {"status": "completed"}),
    ],
)
def test_a_page_of_jobs_comes_from_an_index(
    conn: "psycopg.Connection[Any]", name: str, index: str, values: dict[str, str]
) -> None:
    """However many jobs there are, a page reads as many as it shows."""
    conn.execute(
        "INSERT INTO jobs (id, plan, questions, min_regions, min_success_rate, timeout_seconds,"
        " provider_timeout_seconds, queued_until, digest, spec, spec_raw, status, completed_at, created_at)"
        " SELECT 'old-' || n, '{\"US\": [\"m1\"]}', '[]', 1, 1, 1, 1, now(), '', '{}', '', 'completed', now(),"
        " now() - make_interval(secs => n) FROM generate_series(1, 3000) n"
    )
    conn.execute("ANALYZE jobs")
    statement = statements()[name].sql
    place = {"before": "infinity", "before_id": "", "page": 50, "progress": True}
    plan = [line for (line,) in conn.execute(b"EXPLAIN " + statement, {**place, **values}).fetchall()]
    limit = next(number for number, line in enumerate(plan) if "Limit" in line)
    assert f"{index} on jobs" in plan[limit + 1], plan


def test_the_outbox_is_counted_from_its_indexes(conn: "psycopg.Connection[Any]") -> None:
    """Whatever a year of processed messages left behind, only what waits or is dead is read."""
    job = (
        "INSERT INTO jobs (id, plan, questions, min_regions, min_success_rate, timeout_seconds,"
        " provider_timeout_seconds, queued_until, digest, spec, spec_raw)"
        " VALUES ('j', '{\"US\": [\"m1\"]}', '[]', 1, 1, 1, 1, now(), '', '{}', '')"
    )
    conn.execute(job)
    conn.execute(
        "INSERT INTO outbox (job_id, topic, payload, created_at, processed_at, dead_at)"
        " SELECT 'j', 'beacon-us', '{}', now() - interval '1 hour', CASE WHEN n > 7 THEN now() END,"
        " CASE WHEN n <= 2 OR n > 2990 THEN now() END FROM generate_series(1, 3000) n"
    )
    conn.execute("ANALYZE outbox")
    statement = statements()["metrics.outbox"].sql
    most = {"most": 1000}
    plan = "\n".join(line for (line,) in conn.execute(b"EXPLAIN " + statement, most).fetchall())
    assert "outbox_unprocessed_idx" in plan
    assert "outbox_dead_idx" in plan
    assert "Seq Scan" not in plan
    found = conn.execute(statement, most).fetchall()[0]
    assert found[:2] == (5, 2)
    assert 3600 <= found[2] < 3700
    assert conn.execute(statement, {"most": 3}).fetchall()[0][:2] == (3, 2), "counted no further than that"
