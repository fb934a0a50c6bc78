"""Two primaries after a failover: processes refuse the older one. Real servers: a primary, and a standby that is
promoted while the primary is away; then the old primary comes back and accepts writes."""

import logging
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
import redis

from outbox_publisher.listener import OutboxListener
from runner_cli.check_database import check_database
from runner_cli.database import database_url
from runner_cli.embedded import EmbeddedPostgres
from runner_core.db import Database
from runner_core.failures import failure_of
from runner_core.migrate import migrate
from runner_core.settings import Settings
from runner_core.sqlstate import NoConnection, sqlstate
from runner_core.timeline import Fence, OlderPrimary, Timeline, ask_hosts, read_timeline
from runner_queue.guard import Guard
from runner_queue.inspection import WORKER_COMMANDS
from runner_queue.stack_marker import identity
from runner_queue.timeline import KEY
from tests.jobs import one, opened, settings_for, until
from tests.proxy import Proxy
from tests.standby import standby_of


@dataclass
class Pair:
    """A primary, and its standby, which may have been promoted."""

    first: EmbeddedPostgres
    second: EmbeddedPostgres

    @property
    def url(self) -> str:
        """Return the address with both hosts, the first one first."""
        place = f"@{self.first.host}:{self.first.port}"
        return self.first.url.replace(place, f"{place},{self.second.host}:{self.second.port}")

    def fail_over(self) -> None:
        """Let the primary crash, and promote the standby."""
        self.first.stop(immediate=True)
        with psycopg.connect(self.second.url, autocommit=True) as conn:
            conn.execute("SELECT pg_promote()")


@pytest.fixture
def pair(make_home: Callable[[], Path]) -> Iterator[Pair]:
    homes = make_home(), make_home()
    with ExitStack() as stop:
        first = EmbeddedPostgres(homes[0])
        stop.callback(first.stop)
        migrate(first.start())
        yield Pair(first, stop.enter_context(standby_of(first, homes[0], homes[1])))


@pytest.fixture
def relay(pair: Pair) -> Iterator[Proxy]:
    """An address with one host, which leads to the primary first."""
    with Proxy(pair.first.host, pair.first.port) as proxy:
        yield proxy


@pytest.fixture
def relayed(pair: Pair, relay: Proxy) -> Settings:
    return settings_for(pair.first.url.replace(f":{pair.first.port}/", f":{relay.port}/"))


def ports(db: Database, count: int = 4) -> set[int]:
    """Return the ports of the servers to which `count` connections lead."""
    held = [db.pool.getconn(10) for _ in range(count)]
    for conn in held:
        db.pool.putconn(conn)
    return {conn.info.port for conn in held}


def known(db: Database) -> int:
    return db.fence.highest.number if db.fence.highest else 0


def test_an_old_primary_that_comes_back_gets_no_connection(pair: Pair) -> None:
    """It is the first host of the address, and accepts writes."""
    with opened(settings_for(pair.url), "worker", size=4) as db:
        assert ports(db) == {pair.first.port}
        pair.fail_over()
        pair.first.start()
        with psycopg.connect(pair.second.url, autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'beacon%'")
        db.retry(lambda: identity(db))
        for _ in range(3):
            assert ports(db) == {pair.second.port}
            db.pool.drain()


@pytest.mark.parametrize("kind", ["api", "publisher", "worker", "analyst"])
def test_a_process_that_starts_while_there_are_two_takes_the_newer(pair: Pair, kind: str) -> None:
    pair.fail_over()
    pair.first.start()
    with opened(settings_for(pair.url), kind, size=4) as db:
        assert ports(db) == {pair.second.port}
        assert known(db) == 2


def test_an_address_that_leads_back_to_the_old_primary_is_refused_until_it_leads_on(
    pair: Pair, relay: Proxy, relayed: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The API answers 503 meanwhile."""
    with opened(relayed, "api", size=2) as db:
        identity(db)
        pair.fail_over()
        relay.lead_to(pair.second.host, pair.second.port)
        until(lambda: _works(db))
        assert known(db) == 2
        pair.first.start()
        relay.lead_to(pair.first.host, pair.first.port)
        relay.cut()
        with pytest.raises(NoConnection) as refused:
            identity(db)
        assert failure_of(refused.value).status == 503
        until(lambda: "an older primary answered, of timeline 1; timeline 2 has been seen" in caplog.text)
        relay.lead_to(pair.second.host, pair.second.port)
        until(lambda: _works(db))


def _works(db: Database) -> bool:
    try:
        return bool(identity(db))
    except (psycopg.Error, NoConnection):
        return False


def test_a_newer_primary_that_is_seen_once_ends_the_connections_to_the_old_one(
    pair: Pair, relay: Proxy, relayed: Settings
) -> None:
    """The old primary lives: a promotion by mistake, or a network that is cut between the two."""
    with opened(relayed, "worker", size=2) as db:
        held = [db.pool.getconn(10) for _ in range(2)]
        with psycopg.connect(pair.second.url, autocommit=True) as conn:
            conn.execute("SELECT pg_promote()")
        relay.lead_to(pair.second.host, pair.second.port)
        held[0].close()
        db.pool.putconn(held[0])
        until(lambda: db.drained_at > 0)
        db.pool.putconn(held[1])
        until(lambda: held[1].closed)
        assert known(db) == 2


def test_the_listening_connection_is_fenced_too(pair: Pair) -> None:
    with opened(settings_for(pair.url), "publisher", size=1) as db:
        pair.fail_over()
        pair.first.start()
        listener = OutboxListener(settings_for(pair.url, outbox_poll_ms=10), lambda: db.drained_at, db.fence)
        listener.start()
        with psycopg.connect(pair.second.url, autocommit=True) as conn:
            until(lambda: one(conn, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%-listen'"))
        listener.stop()
        listener.close()


def test_a_worker_learns_from_redis_that_its_only_host_is_an_older_primary(
    pair: Pair, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    pair.fail_over()
    with opened(settings_for(pair.second.url), "publisher") as newer, redis.Redis.from_url(redis_url) as client:
        Guard(client, identity(newer), WORKER_COMMANDS, owns=False, fence=newer.fence).admit(1)
        assert client.get(KEY).endswith(b" 2")  # type: ignore[union-attr]  # it is no awaitable
        pair.first.start()
        with opened(settings_for(pair.first.url), "worker") as older:
            Guard(client, identity(older), WORKER_COMMANDS, owns=False, fence=older.fence).admit(1)
            assert known(older) == 2
            until(lambda: "an older primary answered" in caplog.text)
        assert client.get(KEY).endswith(b" 2")  # type: ignore[union-attr]  # likewise


def test_a_server_with_another_identifier_begins_anew(
    pair: Pair, own_postgres: EmbeddedPostgres, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A restored dump, an upgrade or another provider: timeline 1 is no older primary then."""
    pair.fail_over()
    migrate(own_postgres.url)
    with Proxy(pair.second.host, pair.second.port) as relay, redis.Redis.from_url(redis_url) as client:
        settings = settings_for(pair.second.url.replace(f":{pair.second.port}/", f":{relay.port}/"))
        with opened(settings, "worker") as db:
            own = identity(db)
            Guard(client, own, WORKER_COMMANDS, owns=False, fence=db.fence).admit(1)
            there = own_postgres.url.replace(f":{own_postgres.port}/", f":{relay.port}/")
            relay.lead_to(own_postgres.host, own_postgres.port)
            with psycopg.connect(there, autocommit=True) as conn:
                db.fence.admit(conn)
            with psycopg.connect(own_postgres.url, autocommit=True) as conn:
                assert db.fence.highest == read_timeline(conn)
            assert known(db) == 1
            assert "the database's server is another one" in caplog.text
            Guard(client, own, WORKER_COMMANDS, owns=False, fence=db.fence).admit(1)
            assert db.fence.highest is not None
            assert client.get(KEY) == f"{db.fence.highest.server} 1".encode()


def test_hosts_of_different_databases_keep_their_order_and_doctor_names_them(
    pair: Pair, own_postgres: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    """A database's timeline says nothing about that of another one, even if the number is higher."""
    pair.fail_over()
    with psycopg.connect(own_postgres.url, autocommit=True) as conn:
        conn.pgconn.change_password(own_postgres.user.encode(), pair.second.password.encode())
    place = f"@{own_postgres.host}:{own_postgres.port}"
    url = pair.second.url.replace(
        f"@{pair.second.host}:{pair.second.port}", f"{place},{pair.second.host}:{pair.second.port}"
    )
    fence = Fence()
    assert fence.newest_first(url, "test", 6.0) == url
    assert fence.highest is None
    assert "copies of 2 different databases" in caplog.text
    told = next(f for f in check_database(Settings.from_env({}), url) if f.subject == "timeline")
    assert (told.level, "copies of 2 different databases" in told.text) == ("error", True)


def test_a_standby_is_no_older_primary(pair: Pair) -> None:
    """It refuses writes by itself, and its timeline may be known late."""
    fence = Fence()
    with psycopg.connect(pair.second.url, autocommit=True) as conn:
        found = read_timeline(conn)
        assert found is not None
        assert found.standby
        fence.learn(replace(found, number=7, standby=False))
        fence.admit(conn)
        assert not conn.closed
    with psycopg.connect(pair.first.url, autocommit=True) as conn, pytest.raises(OlderPrimary) as refused:
        fence.admit(conn)
    assert sqlstate(refused.value) == "08001"


def test_without_the_functions_the_fence_is_off_and_doctor_says_so(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        conn.execute("CREATE ROLE plain LOGIN PASSWORD 'plain' IN ROLE pg_read_all_data")
        try:
            address = psycopg.conninfo.make_conninfo(database_url, user="plain", password="plain")
            with opened(settings_for(address), "worker", size=3) as db:
                assert len(ports(db, 3)) == 1
                assert db.fence.highest is None
            assert caplog.text.count("does not tell its timeline") == 1
            assert next(f.level for f in check_database(Settings.from_env({}), address) if f.subject == "timeline") == (
                "warning"
            )
        finally:
            conn.execute("DROP ROLE plain")


def test_doctor_names_two_primaries(pair: Pair) -> None:
    def told() -> tuple[str, str]:
        return next(
            (f.level, f.text) for f in check_database(Settings.from_env({}), pair.url) if f.subject == "timeline"
        )

    assert told() == ("ok", "1; 2 of 2 hosts answer")
    pair.fail_over()
    assert told() == ("ok", "2; 1 of 2 hosts answer")
    pair.first.start()
    assert told() == ("error", "2 servers accept writes, of timelines 1 and 2: stop the older primary")


def test_hosts_for_which_there_is_no_thread_count_as_silent(pair: Pair) -> None:
    before = threading.stack_size(2**46)  # more than any machine has, so that no thread starts
    try:
        assert set(ask_hosts(pair.url, "test", 1.0).values()) == {None}
    finally:
        threading.stack_size(before)


def test_migrate_and_verify_take_the_newer_primary(pair: Pair) -> None:
    pair.fail_over()
    pair.first.start()
    for url in (pair.url, pair.url + "?target_session_attrs=any"):
        with psycopg.connect(database_url(Namespace(database=url)), connect_timeout=10) as conn:
            assert conn.info.port == pair.second.port


def test_a_timeline_is_learned_once(caplog: pytest.LogCaptureFixture) -> None:
    raised: list[int] = []
    fence = Fence(lambda: raised.append(1))
    with caplog.at_level(logging.WARNING):
        for number in (3, 3, 2, 4, 4):
            fence.learn(Timeline("a", number))
    assert (fence.highest, len(raised), caplog.text) == (Timeline("a", 4), 1, "")
