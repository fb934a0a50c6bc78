"""States of a PostgreSQL server as they really come, and what docs/errors.md says is done about each."""

import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbox_publisher.relay import publish_batch
from runner_cli.embedded import EmbeddedPostgres
from runner_core.db import Database, retried
from runner_core.failures import failure_of
from runner_core.migrate import migrate
from runner_core.queries import rows, run
from runner_core.sqlstate import NoConnection, sqlstate
from runner_queue.broker import Broker
from runner_worker.engine.leases import claim
from tests.integration.api_client import Api, serving
from tests.jobs import one, opened, query, settings_for, submission, submit, until
from tests.proxy import Proxy
from tests.write_errors import Counted

Conn = psycopg.Connection[Any]


# -- a standby, 25006 --


@pytest.fixture
def standby(make_home: Callable[[], Path]) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A primary, and a hot standby with its data of this moment that follows nobody."""
    homes = make_home(), make_home()
    with ExitStack() as stop:
        primary = EmbeddedPostgres(homes[0])
        stop.callback(primary.stop)
        migrate(primary.start())
        primary.stop()
        subprocess.run(["/bin/cp", "-a", str(homes[0] / "postgres"), str(homes[1] / "postgres")], check=True)
        data = homes[1] / "postgres" / "data"
        (data / "standby.signal").touch()
        owner = data.stat()
        os.chown(data / "standby.signal", owner.st_uid, owner.st_gid)
        follower = EmbeddedPostgres(homes[1])
        stop.callback(follower.stop)
        primary.start()
        follower.start()
        yield primary, follower


@pytest.fixture
def relay(standby: tuple[EmbeddedPostgres, EmbeddedPostgres]) -> Iterator[Proxy]:
    """An address that leads to the standby: the failover has not reached it yet."""
    with Proxy(standby[1].host, standby[1].port) as proxy:
        yield proxy


@pytest.fixture
def relayed(standby: tuple[EmbeddedPostgres, EmbeddedPostgres], relay: Proxy) -> str:
    return standby[0].url.replace(f":{standby[0].port}/", f":{relay.port}/")


def test_the_api_says_503_at_once_and_accepts_when_the_address_has_moved(
    standby: tuple[EmbeddedPostgres, EmbeddedPostgres], relay: Proxy, relayed: str, tmp_path: Path, unhurried: None
) -> None:
    """The connections that are open go on leading to the standby, and answer every read."""
    with serving(standby[0].url, tmp_path, DATABASE_URL=relayed) as api:
        held = [api.db.pool.getconn() for _ in range(4)]
        for own in held:
            api.db.pool.putconn(own)
        counted = Counted()
        answer = api.post(api.job())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert counted() == {"25006": 1}, "it is not tried again"
        assert api.client.get("/api/v1/jobs").status_code == 200
        relay.lead_to(standby[0].host, standby[0].port)
        until(lambda: [api.post(api.job()).status_code for _ in range(10)] == [202] * 10)
        assert [api.post(api.job()).status_code for _ in range(20)] == [202] * 20


@pytest.mark.parametrize("kind", ["publisher", "worker"])
def test_publisher_and_worker_follow_the_address_by_themselves(
    standby: tuple[EmbeddedPostgres, EmbeddedPostgres], relay: Proxy, relayed: str, redis_url: str, kind: str
) -> None:
    with opened(settings_for(standby[0].url)) as direct:
        job_id = submit(direct, submission(regions=("US",))).job_id
    done: list[int] = []
    with opened(settings_for(relayed, redis_url), kind, size=4) as db:
        verbs: dict[str, Callable[[], int]] = {
            "publisher": lambda: publish_batch(db, Broker(db.settings)),
            "worker": lambda: len(claim(db, [(job_id, "US")], "w")[0]),
        }
        thread = threading.Thread(target=lambda: done.append(verbs[kind]()))
        thread.start()
        until(lambda: relay.connections >= 2)  # it has given the first connection up
        relay.lead_to(standby[0].host, standby[0].port)
        thread.join()
    assert done == [1]


# -- connections that the server has ended, 57P05 --


def test_an_idle_connection_that_the_server_has_ended_reaches_no_request(
    api: Api, conn: Conn, unhurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        held = [api.db.pool.getconn() for _ in range(4)]
        pids = [own.info.backend_pid for own in held]
        for own in held:
            own.execute(b"SET idle_session_timeout = 50")
            api.db.pool.putconn(own)
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s)"
        until(lambda pids=pids, gone=gone: one(conn, gone, pids) == 0)  # type: ignore[misc]
        assert api.post(api.job()).status_code == 202
        assert api.client.get("/api/v1/jobs").status_code == 200
    assert "statement failed" not in caplog.text


def test_an_ended_idle_connection_is_no_failure(
    database_url: str, conn: Conn, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(settings_for(database_url), "worker", size=2) as db:
        with db.transaction() as own:
            pid = own.info.backend_pid
        conn.execute(b"SELECT pg_terminate_backend(%s)", [pid])
        until(lambda: one(conn, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid) == 0)
        with db.transaction() as own:
            rows(own, "sweep.clock")
    assert "statement failed" not in caplog.text


def test_what_a_server_says_unasked_ends_no_connection(database_url: str, conn: Conn) -> None:
    with opened(settings_for(database_url), "worker", size=1) as db:
        with db.transaction(pipeline=False) as own:
            own.execute(b"LISTEN somewhere")
            pid, fd = own.info.backend_pid, own.fileno()
        conn.execute(b"NOTIFY somewhere")
        until(lambda: select.select([fd], [], [], 0)[0])
        with db.transaction() as own:
            assert own.info.backend_pid == pid


def test_a_transaction_that_was_idle_for_too_long_is_repeated(database_url: str, conn: Conn) -> None:
    """25P03: its process was stopped in the middle of it."""
    tries: list[int] = []

    @retried
    def verb(db: Database) -> None:
        with db.transaction(pipeline=False) as own:
            tries.append(own.info.backend_pid)
            if len(tries) == 1:
                own.execute(b"SET LOCAL idle_in_transaction_session_timeout = 50")
                until(lambda: one(conn, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", tries[0]) == 0)
            rows(own, "sweep.clock")

    for kind in ("api", "worker"):
        tries.clear()
        with opened(settings_for(database_url), kind) as db:
            verb(db)
        assert len(set(tries)) == 2


def test_a_read_is_repeated_when_its_connection_is_lost(database_url: str, tmp_path: Path) -> None:
    where = psycopg.conninfo.conninfo_to_dict(database_url)
    with Proxy(str(where["host"]), int(where["port"])) as proxy:
        through = database_url.replace(f":{where['port']}/", f":{proxy.port}/")
        with serving(database_url, tmp_path, DATABASE_URL=through) as api:
            job_id = api.submit()
            proxy.cut(after_bytes=100)
            assert api.get(f"/jobs/{job_id}")["id"] == job_id


# -- a server that is away, 08001 --


def test_while_the_server_is_away_the_api_waits_once_then_refuses_at_once(own_postgres: EmbeddedPostgres) -> None:
    migrate(own_postgres.url)
    with opened(settings_for(own_postgres.url), "api", size=4) as db:
        submit(db, submission())
        own_postgres.stop()
        asked = []
        for _ in range(50):
            with pytest.raises(NoConnection) as raised:
                submit(db, submission())
            asked.append(db.pool.get_stats()["requests_num"])
        assert (sqlstate(raised.value), failure_of(raised.value).status) == ("08001", 503)
        assert asked[0] == asked[-1], "once no host has just accepted a connection, none is asked for"
        own_postgres.start()

        def accepted() -> bool:
            with suppress(NoConnection):
                return submit(db, submission()).status == "queued"
            return False

        until(accepted)


def test_what_a_server_says_while_it_refuses_a_connection_is_08001(own_postgres: EmbeddedPostgres) -> None:
    """53300 and 57P03 come before there is a connection that could carry a state."""
    name = own_postgres.url.rpartition("/")[2]
    with psycopg.connect(own_postgres.url, autocommit=True) as conn:
        conn.execute(b"CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 0")
        few = f"postgresql://few:few@{own_postgres.host}:{own_postgres.port}/{name}"
        with pytest.raises(psycopg.OperationalError, match="too many connections") as refused:
            psycopg.connect(few)
    assert sqlstate(refused.value) == "08001"


# -- a full queue of notifications, 54000 --


@pytest.fixture
def full_queue(make_home: Callable[[], Path]) -> Iterator[EmbeddedPostgres]:
    """A server whose queue of notifications is full, because a listener of another database sits in a transaction."""
    postgres = EmbeddedPostgres(make_home(), {"max_notify_queue_pages": "64"})
    try:
        migrate(postgres.start())
        other = postgres.url.rpartition("/")[0] + "/postgres"
        with psycopg.connect(other, autocommit=True) as listener, psycopg.connect(other, autocommit=True) as sender:
            listener.execute(b"LISTEN somewhere")
            listener.execute(b"BEGIN")
            listener.execute(b"SELECT 1")
            until(lambda: not _notified(sender))
            yield postgres
    finally:
        postgres.stop()


def _notified(sender: Conn) -> bool:
    try:
        sender.execute(b"SELECT pg_notify('somewhere', repeat('x', 7000)) FROM generate_series(1, 50)")
    except psycopg.errors.ProgramLimitExceeded:
        return False
    return True


def test_a_full_queue_of_notifications_refuses_no_job(
    full_queue: EmbeddedPostgres, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(full_queue.url, tmp_path) as api:
        spec = api.job()
        assert api.post(spec).status_code == 202
        assert api.post(spec).status_code == 200, "its repeat"
        api.db.notifier.notify([spec["id"]], outbox=True)
        api.db.notifier.stop()
    with opened(settings_for(full_queue.url, redis_url), "publisher") as db:
        assert publish_batch(db, Broker(db.settings)) == 2
    assert "without a notification" in caplog.text
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == []


# -- a table that a migration has changed, 0A000 --


@pytest.mark.parametrize("kind", ["api", "worker"])
def test_a_prepared_statement_whose_table_was_changed_is_prepared_anew(
    database_url: str, conn: Conn, kind: str
) -> None:
    @retried
    def read(db: Database) -> int:
        with db.statement() as own:
            run(own, "processes.read", process_id="p").fetchall()
            return own.info.backend_pid

    with opened(settings_for(database_url), kind, size=2) as db:
        held = [db.pool.getconn(), db.pool.getconn()]
        for own in held:
            run(own, "processes.read", process_id="p").fetchall()
            db.pool.putconn(own)
        before = {own.info.backend_pid for own in held}
        conn.execute(b"ALTER TABLE processes ALTER seen_at TYPE timestamptz(3)")
        assert read(db) not in before
        assert read(db) not in before, "the other connection's plan is as old"


def test_another_feature_that_is_missing_is_a_mistake_of_ours(database_url: str) -> None:
    with (
        opened(settings_for(database_url)) as db,
        pytest.raises(psycopg.errors.FeatureNotSupported) as raised,
        db.statement() as own,
    ):
        own.execute(b"SELECT count(*) FROM jobs FOR UPDATE")
    assert failure_of(raised.value).status == 500


def test_a_value_that_is_refused_concerns_its_row(database_url: str, conn: Conn) -> None:
    conn.execute(b"ALTER TABLE processes ADD CHECK (kind <> 'cli')")
    unknown = dict.fromkeys(("region", "regions_sha", "concurrency", "providers"))
    with opened(settings_for(database_url)) as db:
        for values, state in (({"kind": "cli"}, "23514"), ({"kind": None}, "23502")):
            with pytest.raises(psycopg.errors.IntegrityError) as raised, db.statement() as own:
                run(own, "processes.beat", process_id="p", host="h", pid=1, version="1", **unknown, **values)
            assert (sqlstate(raised.value), failure_of(raised.value).concerns) == (state, "row")
    assert query(conn, "SELECT id FROM processes WHERE id = 'p'") == []
