"""The database cut, frozen, restarted, contended: the whole verb is repeated, and done once."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from psycopg import errors
from psycopg_pool import PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from outbox_publisher.relay import publish_batch
from outbox_publisher.sweep import take_back
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_cli.embedded import EmbeddedPostgres
from runner_core.db import Database, retried
from runner_core.errors import NotReady
from runner_core.migrate import migrate
from runner_core.presence import probe
from runner_core.queries import rows, run
from runner_core.sqlstate import sqlstate
from runner_queue.broker import Broker
from runner_worker.engine.leases import claim, release
from tests.engine import running
from tests.jobs import catalogue, one, opened, query, settings_for, submission, submit, until
from tests.proxy import CommitProxy

Conn = psycopg.Connection[Any]
ADMIN = Actor("admin")


@pytest.fixture
def proxy(database_url: str) -> Iterator[CommitProxy]:
    where = psycopg.conninfo.conninfo_to_dict(database_url)
    with CommitProxy(str(where["host"]), int(where["port"])) as standing:
        yield standing


@pytest.fixture
def proxied(database_url: str, proxy: CommitProxy) -> str:
    """The database's URL through the proxy."""
    host, _, name = database_url.rpartition("@")[2].rpartition("/")
    return database_url.replace(f"@{host}/{name}", f"@127.0.0.1:{proxy.port}/{name}")


@pytest.fixture
def db(proxied: str, redis_url: str) -> Iterator[Database]:
    """Two seconds in all for a transaction; one connection, so that the next fault meets the next transaction."""
    with opened(settings_for(proxied, redis_url, db_write_timeout_ms=1000), size=1) as database:
        with database.transaction() as conn:
            run(conn, "sweep.clock")
        yield database


@pytest.fixture
def plain(database_url: str) -> Iterator[Database]:
    """The same database without the proxy: what comes before the fault, and the notifications that follow, go here."""
    with opened(settings_for(database_url), size=4) as database:
        yield database


class Counted:
    """How much the metrics have grown since it was made."""

    def __init__(self) -> None:
        self._before = self._now()

    @staticmethod
    def _now() -> dict[str, float]:
        grown = {}
        for metric in REGISTRY.collect():
            for sample in metric.samples:
                if sample.name == "db_write_retries_total":
                    grown["retries"] = sample.value
                if sample.name == "db_write_errors_total":
                    grown[sample.labels["sqlstate"]] = sample.value
        return grown

    def __call__(self) -> dict[str, int]:
        now = self._now()
        grown = {name: int(value - self._before.get(name, 0)) for name, value in now.items()}
        return {name: count for name, count in grown.items() if count}


LOST = {"retries": 1, "08006": 1}


# -- COMMIT: refused by the server --


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


# -- COMMIT: its request lost, its reply lost --


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
            proxied, redis_url, db_write_timeout_ms=1000, lease_seconds=0.05, heartbeat_seconds=0.02
        )
        planned: list[Any] = []
        with opened(settings, size=1) as db:
            with db.transaction() as warm:
                run(warm, "sweep.clock")
            over = "SELECT bool_and(lease_expires_at < clock_timestamp()) FROM region_runs"
            if fault == "lose_reply":
                proxy.lose_reply(first=lambda: until(lambda: one(conn, over)))
            else:
                proxy.lose_request()
            claimed, _, _ = claim(db, [(job_id, "US"), (job_id, "EU")], "w", lambda rows, _: planned.append(rows) or [])
        assert proxy.acted == 1
        attempt = 2 if fault == "lose_reply" else 1
        held = query(conn, "SELECT region, lease_token::text AS token, attempt FROM region_runs ORDER BY region")
        assert [(r["region"], r["attempt"]) for r in held] == [("EU", attempt), ("US", attempt)]
        found = sorted(claimed, key=lambda r: str(r["region"]))
        assert [{name: r[name] for name in ("region", "token", "attempt")} for r in found] == held
        assert planned[-1] == claimed

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


# -- connections --


def test_a_connection_cut_in_a_statement_is_replaced_and_the_verb_repeated(
    db: Database, proxy: CommitProxy, conn: Conn
) -> None:
    proxy.cut(after_bytes=200)
    counted = Counted()
    submit(db, submission())
    assert one(conn, "SELECT count(*) FROM jobs") == 1
    assert counted() == LOST


def leave(db: Database) -> None:
    """A small write, tried once."""
    with db.transaction() as own:
        run(own, "processes.leave", process_id="x")


def test_a_verb_through_a_black_hole_ends_within_its_limit(db: Database, proxy: CommitProxy, conn: Conn) -> None:
    """One second for a statement and one more for the transaction, then its socket is shut down from outside."""
    counted = Counted()
    proxy.black_hole()
    at = time.monotonic()
    with pytest.raises(psycopg.OperationalError) as lost:
        leave(db)
    assert sqlstate(lost.value) == "08006"
    assert time.monotonic() - at < 3
    assert counted() == {"08006": 1}
    proxy.heal()
    until(lambda: submit(db, submission()))
    assert one(conn, "SELECT count(*) FROM jobs") == 1


def test_a_verb_goes_on_when_a_black_hole_closes_while_idle_connections_lie_in_the_pool(
    proxied: str, proxy: CommitProxy, conn: Conn
) -> None:
    """Nobody may wait for an idle connection that leads nowhere: none of them has a time limit."""
    with opened(settings_for(proxied, db_write_timeout_ms=500), size=4) as db:
        held = [db.pool.getconn() for _ in range(4)]
        for connection in held:
            db.pool.putconn(connection)
        proxy.black_hole()
        ended: list[object] = []

        def verb() -> None:
            try:
                ended.append(submit(db, submission()))
            except (psycopg.Error, PoolTimeout) as error:
                ended.append(error)

        thread = threading.Thread(target=verb, daemon=True)
        thread.start()
        until(lambda: not thread.is_alive(), 15)
        proxy.heal()
        until(lambda: submit(db, submission()).job_id, 10)
    assert ended


@retried
def contended(db: Database, started: threading.Event, tries: list[int]) -> None:
    """A verb that has an open transaction on its first try, until the test has broken it."""
    tries.append(len(tries))
    with db.transaction(pipeline=False) as own:
        run(own, "processes.leave", process_id="nobody")
        if len(tries) == 1:
            started.set()
            run(own, "jobs.lock", job_ids=["held"])


@pytest.fixture
def held(database_url: str) -> Iterator[Conn]:
    """A transaction that holds the job `held`."""
    with opened(settings_for(database_url)) as db:
        submit(db, submission("held", regions=("US",)))
    with psycopg.connect(database_url) as holder:
        holder.execute(b"SELECT 1 FROM jobs WHERE id = 'held' FOR UPDATE")
        yield holder


def test_a_backend_that_is_terminated_is_replaced(database_url: str, conn: Conn, held: Conn) -> None:
    counted = Counted()
    tries: list[int] = []
    with opened(settings_for(database_url, db_write_timeout_ms=8000), size=2) as db:
        started = threading.Event()
        verb = threading.Thread(target=contended, args=(db, started, tries))
        verb.start()
        started.wait(10)
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        until(lambda: one(conn, kill))
        verb.join()
    assert tries == [0, 1]
    assert counted() == {"retries": 1, "57P01": 1}


def test_a_server_that_crashes_and_comes_back_loses_nothing_that_was_acknowledged(
    own_postgres: EmbeddedPostgres,
) -> None:
    migrate(own_postgres.url)
    counted = Counted()
    with opened(settings_for(own_postgres.url), size=4) as db:
        before = [submit(db, submission()).job_id for _ in range(20)]
        own_postgres.restart(immediate=True)
        after = submit(db, submission()).job_id
        with psycopg.connect(own_postgres.url) as conn:
            assert {r["id"] for r in query(conn, "SELECT id FROM jobs")} == {*before, after}
    seen = counted()
    seen.pop("retries", None)  # none, where the pool had noticed by itself that its connections were gone
    assert all(state[:2] in ("08", "57") for state in seen)


def test_a_deadlock_has_one_victim_and_the_victim_tries_again(database_url: str, conn: Conn) -> None:
    with opened(settings_for(database_url), size=2) as db:
        for job_id in ("a", "b"):
            submit(db, submission(job_id, regions=("US",)))
        together = threading.Barrier(2)
        tries: list[str] = []
        counted = Counted()

        @retried
        def crosswise(own_db: Database, first: str, second: str) -> None:
            tries.append(first)
            with own_db.transaction(pipeline=False) as own:
                run(own, "processes.leave", process_id="nobody")
                run(own, "jobs.lock", job_ids=[first])
                if len(tries) <= 2:
                    together.wait(10)
                run(own, "jobs.lock", job_ids=[second])

        threads = [threading.Thread(target=crosswise, args=(db, *order)) for order in (("a", "b"), ("b", "a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(tries) == 3
    assert counted() == {"retries": 1, "40P01": 1}


def test_a_serialization_conflict_is_repeated(database_url: str, conn: Conn) -> None:
    with opened(settings_for(database_url)) as db:
        submit(db, submission("contested", regions=("US",)))
    isolated = database_url + "?options=-c%20default_transaction_isolation%3Dserializable"
    with opened(settings_for(isolated), size=1) as db:
        tries: list[int] = []
        counted = Counted()

        @retried
        def conflicting(own_db: Database) -> None:
            tries.append(1)
            with own_db.transaction(pipeline=False) as own:
                rows(own, "jobs.state", job_id="contested")
                if len(tries) == 1:
                    conn.execute(b"UPDATE jobs SET version = version + 1")
                run(own, "jobs.cancel", job_id="contested", actor="a", action_id="a")

        conflicting(db)
    assert len(tries) == 2
    assert counted() == {"retries": 1, "40001": 1}


def test_a_pool_with_no_connection_to_give_is_told_and_not_retried(database_url: str) -> None:
    counted = Counted()
    with opened(settings_for(database_url, db_write_timeout_ms=100), size=1) as db:
        taken = db.pool.getconn()
        with pytest.raises(PoolTimeout) as refused:
            submit(db, submission())
        db.pool.putconn(taken)
    assert sqlstate(refused.value) == "pool_timeout"
    assert counted() == {"pool_timeout": 1}


def test_a_statement_that_takes_too_long_is_ended_by_the_server_and_not_retried(database_url: str, held: Conn) -> None:
    counted = Counted()
    with (
        opened(settings_for(database_url, db_write_timeout_ms=200)) as db,
        pytest.raises(errors.QueryCanceled),
        db.transaction() as own,
    ):
        run(own, "jobs.cancel", job_id="held", actor="a", action_id="a")
    assert counted() == {"57014": 1}


def test_what_is_expected_is_an_answer_and_no_error(database_url: str) -> None:
    counted = Counted()
    with opened(settings_for(database_url)) as db:
        job = submission()
        submit(db, job)
        assert submit(db, job).replayed
    assert counted() == {}


def test_the_retry_gives_up_after_its_tries_and_raises_the_last_error(
    db: Database, proxy: CommitProxy, conn: Conn
) -> None:
    counted = Counted()
    job = submission()
    proxy.lose_request(times=1000, at=job.job_id)
    with pytest.raises(psycopg.OperationalError):
        submit(db, job)
    assert counted() == {"retries": 5, "08006": 6}
    assert one(conn, "SELECT count(*) FROM jobs") == 0


def test_a_connection_is_discarded_after_a_failed_pipeline(database_url: str, conn: Conn) -> None:
    with opened(settings_for(database_url), size=1) as db:
        with db.transaction() as own:
            first = own.info.backend_pid
        conn.execute(b"ALTER TABLE processes ADD CHECK (kind <> 'cli')")
        with pytest.raises(NotReady, match="23514"):
            probe(db)
        with db.transaction() as own:
            assert own.info.backend_pid != first


SHOW = b"""SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),
                  current_setting('plan_cache_mode'), current_setting('jit')"""


@pytest.mark.parametrize(
    ("kind", "limits"), [("api", ("5s", "2s", "auto", "off")), ("worker", ("5s", "0", "force_generic_plan", "off"))]
)
@pytest.mark.parametrize("pooler", ["", "transaction"])
def test_limits_are_the_sessions_or_behind_a_pooler_the_transactions(
    database_url: str, kind: str, limits: tuple[str, ...], pooler: str
) -> None:
    """A pooler gives the session to somebody else next: nothing of ours may stay on it."""
    with opened(settings_for(database_url, db_pooler=pooler), kind, size=1) as db:
        with db.transaction(pipeline=False) as own:
            assert own.execute(SHOW).fetchone() == limits
        with db.statement() as own:
            assert own.execute(SHOW).fetchone() == limits
        with db.pool.connection() as bare:
            assert bare.execute(SHOW).fetchone() == (("0", "0", "auto", "on") if pooler else limits)


def test_a_statement_is_held_to_its_limit(database_url: str) -> None:
    with (
        opened(settings_for(database_url, db_write_timeout_ms=100), size=1) as db,
        pytest.raises(errors.QueryCanceled),
        db.statement() as conn,
    ):
        conn.execute(b"SELECT pg_sleep(30)")


def test_a_pool_asks_each_second_for_a_server_that_is_away() -> None:
    """Pauses that double would keep it away for as long again as the server was."""
    attempt = AttemptWithBackoff(timeout=300)
    pauses = []
    for second in range(60):
        attempt.update_delay(second)
        pauses.append(attempt.delay)
    assert 0.9 <= min(pauses) <= max(pauses) <= 1.1


def test_a_connection_that_cannot_be_guarded_goes_back_to_the_pool(plain: Database, monkeypatch: Any) -> None:
    """A process that is out of descriptors must not be out of connections when it has some again."""
    with plain.transaction():
        pass

    def fails(*_: object) -> None:
        raise OSError("too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(plain.watchdog, "guard", fails)
        for _ in range(2 * plain.pool.max_size):
            with pytest.raises(psycopg.OperationalError, match="too many"), plain.statement():
                pass
    with plain.statement() as conn:
        assert run(conn, "sweep.clock").fetchone()
