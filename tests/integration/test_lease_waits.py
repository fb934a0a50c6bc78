"""A lease that is written after a wait for a row lock is a whole lease."""

import threading
from typing import Any

import psycopg

from runner_core.store import region_runs
from runner_worker.engine.leases import claim
from tests.jobs import one, opened, settings_for, submission, submit, until, wait_until_blocked

Conn = psycopg.Connection[Any]
LEASE_SECONDS = 1


def test_a_claim_that_waited_longer_than_a_lease_has_a_live_lease(database_url: str, conn: Conn) -> None:
    """A heartbeat, or a worker that releases its runs, locks a run without its job: a claim may wait for that."""
    settings = settings_for(database_url, lease_seconds=LEASE_SECONDS, heartbeat_seconds=0.2)
    with opened(settings, "worker") as db, psycopg.connect(database_url) as other:
        submit(db, submission("waited", regions=("US",)))
        claim(db, [("waited", "US")], "dead")
        conn.execute("UPDATE region_runs SET lease_token = NULL, lease_expires_at = NULL")
        other.execute("SELECT FROM region_runs FOR NO KEY UPDATE")
        began = one(conn, "SELECT clock_timestamp()")
        claimed: list[Any] = []
        waiting = threading.Thread(target=lambda: claimed.extend(claim(db, [("waited", "US")], "late")[0]))
        waiting.start()
        wait_until_blocked(db)
        longer = "SELECT clock_timestamp() > %s + make_interval(secs => %s)"
        until(lambda: one(conn, longer, began, 1.5 * LEASE_SECONDS))
        freed = one(conn, "SELECT clock_timestamp()")
        other.rollback()
        waiting.join()
        assert len(claimed) == 1
        expires = one(conn, "SELECT lease_expires_at FROM region_runs")
    assert (expires - freed).total_seconds() >= LEASE_SECONDS


def test_a_heartbeat_waits_for_nobody(database_url: str, conn: Conn) -> None:
    """So that the time of its statement is the time of its write: a run that is locked keeps its lease as it is."""
    settings = settings_for(database_url, lease_seconds=LEASE_SECONDS, heartbeat_seconds=0.2)
    with opened(settings, "worker") as db, psycopg.connect(database_url) as other:
        for job_id in ("free", "locked"):
            submit(db, submission(job_id, regions=("US",)))
        runs, _, _ = claim(db, [("free", "US"), ("locked", "US")], "worker")
        before = dict(conn.execute("SELECT job_id, lease_expires_at FROM region_runs").fetchall())
        other.execute("SELECT FROM region_runs WHERE job_id = 'locked' FOR NO KEY UPDATE")
        held = [(run["job_id"], run["region"], str(run["token"])) for run in runs]
        with db.transaction() as own:
            region_runs.beat(own, held, LEASE_SECONDS)
        after = dict(conn.execute("SELECT job_id, lease_expires_at FROM region_runs").fetchall())
    assert after["free"] > before["free"]
    assert after["locked"] == before["locked"]
