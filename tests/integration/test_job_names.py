"""A job keeps its name and its submitter; the publisher fills both in for jobs that were written without them."""

from typing import Any

import psycopg
import pytest

from outbox_publisher.fill import BATCH, fill_old
from tests.integration.api_client import Api
from tests.jobs import one, query

Conn = psycopg.Connection[Any]
KEPT = "name, submitter, outcome, completed_units, failed_units, cancelled_units, version"
FORGET = (
    "UPDATE jobs SET name = NULL, submitter = NULL, outcome = NULL, completed_units = NULL, failed_units = NULL,"
    " cancelled_units = NULL"
)


def benchmark(name: str) -> dict[str, Any]:
    container, given = {"image": "ghcr.io/example/probe:1"}, {"type": "prompt", "hash": "sha256:placeholder"}
    return {"name": name, "container": container, "input": given}


def test_a_job_has_the_benchmarks_name_and_its_submitter(api: Api) -> None:
    job_id = api.submit(benchmark=benchmark("Nightly EU"))
    entry, job = api.get("/jobs")["jobs"][0], api.get(f"/jobs/{job_id}")
    assert entry["name"] == job["name"] == "Nightly EU"
    assert entry["submitter"] == job["submitter"] == api.get(f"/jobs/{job_id}/events")["events"][0]["actor"]
    assert entry["failed_units"] is None


@pytest.mark.parametrize("name", ["n" * 5000, "\U0001f30d" * 5000, "المدن \u202e", " ", "<b>'\"%s\\"])
def test_any_name_can_be_kept_found_and_shown(api: Api, name: str) -> None:
    job_id = api.submit(benchmark=benchmark(name))
    assert api.get("/jobs")["jobs"][0]["name"] == name[:200]
    assert api.get(f"/jobs/{job_id}")["job"]["benchmark"]["name"] == name
    assert [row["id"] for row in api.client.get("/api/v1/jobs", query_string={"q": name[:9]}).get_json()["jobs"]] == [
        job_id
    ]
    assert f'href="/jobs/{job_id}"' in api.client.get("/").text


def test_the_publisher_fills_what_older_rows_do_not_have(api: Api) -> None:
    """In batches, and as if they had been written by this release. No version changes."""
    ended, open_job = api.submit(models=["m1", "m2"]), api.submit(benchmark=benchmark("open"))
    for region in ("US", "EU"):
        api.finish(ended, region, {"m1": True, "m2": False})
    before = api.sql(f"SELECT {KEPT} FROM jobs ORDER BY id")  # noqa: S608 - ours
    api.sql(FORGET)
    assert fill_old(api.worker) == 2
    assert api.sql(f"SELECT {KEPT} FROM jobs ORDER BY id") == before  # noqa: S608 - ours
    assert fill_old(api.worker) == 0
    assert api.get(f"/jobs/{open_job}")["name"] == "open"


def test_more_rows_than_a_batch_are_filled(api: Api, conn: Conn) -> None:
    api.sql(
        "INSERT INTO jobs (id, plan, questions, min_regions, min_success_rate, timeout_seconds,"
        " provider_timeout_seconds, queued_until, digest, spec, spec_raw)"
        " SELECT 'old-' || n, '{\"US\": [\"m1\"]}', '[]', 1, 1, 1, 1, now(), '', '{}', ''"
        " FROM generate_series(1, %s) n",
        BATCH + 5,
    )
    assert fill_old(api.worker) == BATCH + 5
    assert query(conn, "SELECT DISTINCT name, submitter FROM jobs") == [{"name": "", "submitter": ""}]
    assert api.get("/jobs?limit=1")["jobs"][0]["name"] is None


def test_a_locked_row_is_left_for_the_next_pass(api: Api, database_url: str, conn: Conn) -> None:
    first, second = api.submit(), api.submit()
    api.sql(FORGET)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM jobs WHERE id = %s FOR NO KEY UPDATE", [first])
        assert fill_old(api.worker) == 1
        assert one(conn, "SELECT name FROM jobs WHERE id = %s", second) == "probe"
    assert fill_old(api.worker) == 1
