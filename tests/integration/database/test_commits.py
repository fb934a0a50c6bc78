"""COMMIT refused by the server, or its request or reply lost: the verb is repeated, and done once."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from outbox_publisher.relay import publish_batch
from outbox_publisher.sweep import take_back
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_core.db import Database
from runner_core.queries import run
from runner_core.store.region_runs import Room
from runner_queue.broker import Broker
from runner_worker.engine.leases import claim, release
from tests.commit_proxy import CommitProxy
from tests.engine import running
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, until
from tests.write_errors import LOST, Counted

Conn = psycopg.Connection[Any]
ADMIN = Actor("admin")


def test_a_commit_that_the_server_refuses_is_an_error(plain: Database, conn: Conn) -> None:
    conn.execute("CREATE TABLE deferred (job_id text REFERENCES jobs DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(psycopg.errors.ForeignKeyViolation), plain.transaction() as inside:
        inside.execute("INSERT INTO deferred VALUES ('nobody')")
    assert one(conn, "SELECT count(*) FROM deferred") == 0
    assert submit(plain, submission()).status == "queued", "the next transaction is not concerned"


def test_a_commit_that_rolled_back_is_an_error(plain: Database, conn: Conn) -> None:
    """A verb that swallows its own error."""
    conn.execute("CREATE TABLE kept (n integer)")

    def careless() -> None:
        with plain.transaction() as inside:
            inside.execute("INSERT INTO kept VALUES (1)")
            with suppress(psycopg.errors.DivisionByZero), inside.pipeline():
                inside.execute("SELECT 1 / 0")

    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        careless()
    assert one(conn, "SELECT count(*) FROM kept") == 0


@pytest.mark.parametrize("fault", ["lose_request", "lose_reply"])
class TestACommitThatIsCut:
    """Nobody knows whether it happened; the verb comes again, and its work is there once."""

    def cut(self, proxy: CommitProxy, fault: str, at: str = "COMMIT") -> Counted:
        getattr(proxy, fault)(at=at)
        return Counted()

    def test_submit_leaves_one_job(self, db: Database, proxy: CommitProxy, conn: Conn, fault: str) -> None:
        job = submission(regions=("US", "EU"))
        counted = self.cut(proxy, fault, at=job.job_id)  # one statement, which commits itself
        accepted = submit(db, job)
        assert accepted.replayed == (fault == "lose_reply")
        assert one(conn, "SELECT cross_region_execution_id::text FROM jobs") == accepted.cross_region_execution_id
        assert one(conn, "SELECT count(*) FROM outbox") == 2
        assert one(conn, "SELECT count(*) FROM idempotency_keys") == 1
        assert (counted(), proxy.acted) == (LOST, 1)

    def test_publish_marks_each_row_once(
        self, db: Database, plain: Database, proxy: CommitProxy, conn: Conn, redis_url: str, fault: str
    ) -> None:
        submit(plain, submission(regions=("US", "EU")))
        broker = Broker(db.settings)
        counted = self.cut(proxy, fault)
        publish_batch(db, broker)
        assert {r["attempts"] for r in query(conn, "SELECT attempts FROM outbox")} == {1}
        sent = {r["dispatch_id"] for r in query(conn, "SELECT dispatch_id FROM outbox")}
        assert sent <= broker.queued_ids("beacon-us") | broker.queued_ids("beacon-eu")
        assert (counted(), proxy.acted) == (LOST, 1)

    def test_claim_gets_its_lease_and_one_attempt(
        self, db: Database, plain: Database, proxy: CommitProxy, conn: Conn, fault: str
    ) -> None:
        job_id = submit(plain, submission(regions=("US", "EU"))).job_id
        counted = self.cut(proxy, fault)
        claimed, _, _ = claim(db, [(job_id, "US"), (job_id, "EU")], "w")
        held = query(conn, "SELECT lease_token::text AS token, attempt FROM region_runs ORDER BY region")
        assert [{"token": r["token"], "attempt": 1} for r in sorted(claimed, key=lambda r: r["region"])] == held
        assert one(conn, "SELECT count(*) FROM job_events WHERE type = 'region_claimed'") == 2
        assert (counted(), proxy.acted) == (LOST, 1)

    def test_a_claim_that_comes_again_after_its_lease_has_run_out_gives_each_region_once(
        self, proxied: str, redis_url: str, plain: Database, proxy: CommitProxy, conn: Conn, fault: str
    ) -> None:
        """Else one token would run it twice at the same time. A short lease stands for a long outage."""
        job_id = submit(plain, submission(regions=("US", "EU"))).job_id
        settings = settings_for(
            proxied, redis_url, db_write_timeout_ms=8000, lease_seconds=0.05, heartbeat_seconds=0.02
        )
        with opened(settings, size=1) as db:
            with db.transaction() as warm:
                run(warm, "sweep.clock")
            over = "SELECT bool_and(lease_expires_at < clock_timestamp()) FROM region_runs"
            if fault == "lose_reply":
                proxy.lose_reply(first=lambda: until(lambda: one(conn, over)))
            else:
                proxy.lose_request()
            rooms = [Room("US", "m1", "p-us", 8), Room("EU", "m1", "p-eu", 8)]
            claimed, _, begun = claim(db, [(job_id, "US"), (job_id, "EU")], "w", rooms, places=8)
        assert proxy.acted == 1
        attempt = 2 if fault == "lose_reply" else 1
        held = query(conn, "SELECT region, lease_token::text AS token, attempt FROM region_runs ORDER BY region")
        assert [(r["region"], r["attempt"]) for r in held] == [("EU", attempt), ("US", attempt)]
        found = sorted(claimed, key=lambda r: str(r["region"]))
        assert [{name: r[name] for name in ("region", "token", "attempt")} for r in found] == held
        # After a lost reply the runs are not new, and their calls are started one by one.
        assert len(begun) == (0 if fault == "lose_reply" else 2)
        assert one(conn, "SELECT count(*) FROM tries") == 2

    @pytest.mark.parametrize("answer", ["usable", "failed"])
    def test_a_region_run_leaves_one_result(
        self, db: Database, plain: Database, proxy: CommitProxy, conn: Conn, tmp_path: Path, fault: str, answer: str
    ) -> None:
        """Its claim is cut twice, its result once: what was kept is no zombie's, though nobody holds its lease."""
        regions = catalogue(tmp_path, {"US": {"options": {"fail": "http_403"} if answer == "failed" else {}}})
        job_id = submit(plain, submission(regions=("US",))).job_id
        getattr(proxy, fault)(times=3)
        fenced = REGISTRY.get_sample_value("runner_fenced_total")
        with running(db, regions) as engine:
            assert engine.run((job_id, "US")) == ["finished"]
        assert (proxy.acted, REGISTRY.get_sample_value("runner_fenced_total")) == (3, fenced)
        status = "completed" if answer == "usable" else "failed"
        assert query(conn, "SELECT status, attempt FROM executions") == [{"status": status, "attempt": 1}]
        assert query(conn, "SELECT calls, attempt FROM answers") == [{"calls": 1, "attempt": 1}]
        assert one(conn, "SELECT count(*) FROM tries") == 1
        assert one(conn, "SELECT status FROM jobs") == status
        assert one(conn, "SELECT version FROM jobs") == one(conn, "SELECT count(*) FROM job_events") == 5

    def test_a_region_is_handed_back_once(
        self, db: Database, plain: Database, proxy: CommitProxy, conn: Conn, tmp_path: Path, fault: str
    ) -> None:
        job_id = submit(plain, submission(regions=("US",))).job_id
        with running(plain, catalogue(tmp_path, {"US": {"options": {"hang": True}}})) as engine:
            engine.take((job_id, "US"))
            until(lambda: one(conn, "SELECT count(*) FROM answers") == 1)
            self.cut(proxy, fault)
            release(db, until(lambda: engine.runner.snapshot().held))
        assert one(conn, "SELECT count(*) FROM outbox") == 2
        assert one(conn, "SELECT count(*) FROM job_events WHERE type = 'region_released'") == 1

    def test_a_lease_is_taken_back_once(
        self, db: Database, plain: Database, proxy: CommitProxy, conn: Conn, fault: str
    ) -> None:
        job_id = submit(plain, submission(regions=("US",))).job_id
        claim(plain, [(job_id, "US")], "dead")
        conn.execute(b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s'")
        self.cut(proxy, fault)
        take_back(db)
        assert one(conn, "SELECT count(*) FROM outbox") == 2
        assert one(conn, "SELECT count(*) FROM job_events WHERE type = 'lease_expired'") == 1

    def test_a_cancellation_says_the_same_either_way(
        self, db: Database, plain: Database, proxy: CommitProxy, conn: Conn, fault: str
    ) -> None:
        job_id = submit(plain, submission(regions=("US", "EU"))).job_id
        self.cut(proxy, fault)
        done = cancel_job(db, job_id, ADMIN, "a")
        assert (done.previous_status, done.executions) == ("queued", 2)
        assert one(conn, "SELECT count(*) FROM job_events WHERE type = 'cancel_requested'") == 1

    def test_a_retry_reopens_once(
        self, db: Database, plain: Database, proxy: CommitProxy, conn: Conn, tmp_path: Path, fault: str
    ) -> None:
        job_id = submit(plain, submission(regions=("US",))).job_id
        with running(plain, catalogue(tmp_path, {"US": {"options": {"fail": "http_403"}}})) as engine:
            assert engine.run((job_id, "US")) == ["finished"]
        self.cut(proxy, fault)
        assert retry_job(db, job_id, Wanted(), ADMIN, "a").units == [("US", "m1")]
        assert one(conn, "SELECT max_attempts FROM region_runs") == 4
        assert one(conn, "SELECT count(*) FROM outbox") == 2
