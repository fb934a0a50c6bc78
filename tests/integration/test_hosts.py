"""A DATABASE_URL with several hosts: work goes to the one that takes writes, however the others fail."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runner_cli.check_database import check_database
from runner_cli.child import free_port
from runner_cli.embedded import EmbeddedPostgres
from runner_core.migrate import latest, migrate
from runner_core.readiness import probe
from runner_core.session import listen
from runner_core.settings import Settings
from tests.conftest import Servers
from tests.jobs import one, opened, settings_for
from tests.standby import standby_of


def behind(url: str, port: int) -> str:
    """The URL with another host, 127.0.0.1 at this port, before its own."""
    return url.replace("@127.0.0.1:", f"@127.0.0.1:{port},127.0.0.1:")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_first_host_that_refuses_costs_nothing(empty_database_url: str) -> None:
    url = behind(empty_database_url, free_port())
    assert migrate(url) == latest()
    with opened(settings_for(url), "api") as db:
        probe(db)


def test_a_first_host_that_never_answers_leaves_time_for_the_second(database_url: str, silent_port: int) -> None:
    """Whoever waits for a connection gets one within the wait: as long as a statement may take, and a second."""
    url = behind(database_url, silent_port)
    with opened(settings_for(url), "worker") as db, db.transaction() as conn:
        assert one(conn, "SELECT 1") == 1


@pytest.fixture
def pair(servers: Servers, make_home: Callable[[], Path]) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A primary with our schema, and a hot standby of it."""
    home = make_home()
    primary = EmbeddedPostgres(home)
    try:
        migrate(primary.start())
        with standby_of(primary, home, make_home()) as standby:
            yield primary, standby
    finally:
        primary.stop()


def test_of_a_standby_and_a_primary_the_primary_is_taken(pair: tuple[EmbeddedPostgres, EmbeddedPostgres]) -> None:
    """By the pool, by migrate and by a listening connection."""
    primary, standby = pair
    url = behind(primary.url, standby.port)
    assert migrate(url) == 0
    with opened(settings_for(url), "publisher") as db:
        probe(db)
    with listen(url, "test", "bell.listen_outbox") as conn:
        assert conn.info.port == primary.port


def test_two_addresses_of_one_primary_are_one_server(database_url: str) -> None:
    """As two proxies before one primary, or its floating address beside its own."""
    port = urlsplit(database_url).port
    twice = database_url.replace(f"@127.0.0.1:{port}", f"@127.0.0.1:{port},localhost:{port}")
    found = next(f for f in check_database(Settings.from_env({}), twice) if f.subject == "timeline")
    assert (found.level, found.text) == ("ok", "1; 2 of 2 hosts answer")


def test_the_hosts_of_a_pooler_are_not_asked(database_url: str) -> None:
    """A pooler holds the question while PostgreSQL is away, and the connection with it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        where = urlsplit(database_url)
        hosts = f"@{where.hostname}:{where.port},127.0.0.1:{other.getsockname()[1]}"
        address = database_url.replace(f"@{where.hostname}:{where.port}", hosts)
        with opened(settings_for(address, db_pooler="transaction")) as db, db.transaction() as conn:
            assert one(conn, "SELECT 1") == 1
        with pytest.raises(BlockingIOError):
            other.accept()
