"""How many runs wait in each region: counted from the index of open jobs, the same as counted one by one."""

from typing import Any

import psycopg

from runner_core import queries
from runner_core.queries import statements
from tests.integration.api_client import Api
from tests.jobs import query

Conn = psycopg.Connection[Any]
ONE_BY_ONE = """
SELECT p.region, count(*) FILTER (WHERE r.lease_token IS NULL) AS depth,
       count(*) FILTER (WHERE r.lease_token IS NOT NULL) AS running,
       min(j.created_at) FILTER (WHERE r.lease_token IS NULL) AS oldest
  FROM jobs j CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
  LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
 WHERE j.status IN ('queued', 'running') AND r.finished_at IS NULL
 GROUP BY p.region ORDER BY p.region
"""


def test_the_queues_are_what_one_finds_job_by_job(api: Api, conn: Conn) -> None:
    """Jobs of one region and of several; queued, leased, handed back, with a region that ended, ended altogether."""
    several = [api.submit(constraints={"regions": ["US", "EU", "ASIA"], "min_regions": 2}) for _ in range(4)]
    alone = [api.submit(constraints={"regions": [region]}) for region in ("US", "US", "EU")]
    api.claim(several[0], "US")
    api.finish(several[1], "EU", {"m1": True})
    api.claim(several[2], "ASIA")
    conn.execute("UPDATE region_runs SET lease_token = NULL, lease_expires_at = NULL WHERE region = 'ASIA'")
    api.finish(alone[0], "US", {"m1": True})
    api.sql("UPDATE jobs SET created_at = created_at - interval '1 hour' WHERE id = %s", several[3])

    expected = query(conn, ONE_BY_ONE)
    assert {row["region"]: (row["depth"], row["running"]) for row in expected} == {
        "ASIA": (4, 0),
        "EU": (4, 0),
        "US": (4, 1),
    }
    found = queries.rows(conn, "reads.queues")
    assert [(r["region"], r["depth"], r["running"]) for r in found] == [
        (r["region"], r["depth"], r["running"]) for r in expected
    ]
    assert all(3600 < row["oldest_seconds"] < 3900 for row in found)
    assert query(conn, "SELECT region, depth, oldest FROM region_queues ORDER BY region") == [
        {name: row[name] for name in ("region", "depth", "oldest")} for row in expected
    ]


def test_a_region_that_only_works_has_an_empty_queue(api: Api, conn: Conn) -> None:
    job_id = api.submit(constraints={"regions": ["US"]})
    api.claim(job_id, "US")
    found = queries.rows(conn, "reads.queues")
    assert [(r["region"], r["depth"], r["running"], r["oldest_seconds"]) for r in found] == [("US", 0, 1, None)]
    api.finish(api.submit(constraints={"regions": ["EU"]}), "EU", {"m1": True})
    assert [r["region"] for r in queries.rows(conn, "reads.queues")] == ["US"]


def test_the_queues_of_the_open_jobs_are_all_found(api: Api, conn: Conn) -> None:
    """Every set of regions is met once, those within another too."""
    assert conn.execute(statements()["sweep.topics"].sql).fetchall() == []
    for regions in (["US"], ["US", "EU"], ["EU", "US"], ["ASIA", "US", "EU"]):
        api.submit(constraints={"regions": regions})
    sets = conn.execute("SELECT regions FROM open_region_sets").fetchall()
    assert sorted(sorted(names) for (names,) in sets) == [["ASIA", "EU", "US"], ["EU", "US"], ["US"]]
    topics = conn.execute(statements()["sweep.topics"].sql).fetchall()
    assert sorted(topics) == [("beacon-asia",), ("beacon-eu",), ("beacon-us",)]
