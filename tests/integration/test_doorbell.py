"""What wakes a publisher: commits of others, its own process, a stop; and a lost connection is replaced."""

import select
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from outbox_publisher.doorbell import Doorbell
from runner_core.queries import rows
from tests.jobs import one, opened, settings_for, until

NEVER = 60_000  # milliseconds: no poll wakes anybody within these tests
LISTENERS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'beacon-publisher-listen' AND query LIKE '%LISTEN%'"
)
Conn = psycopg.Connection[Any]


@pytest.fixture
def hang(database_url: str, redis_url: str) -> Iterator[Callable[..., Doorbell]]:
    """A started doorbell; closed after the test."""
    bells = []

    def start(**settings: Any) -> Doorbell:
        bells.append(Doorbell(settings_for(database_url, redis_url, **{"outbox_poll_ms": NEVER} | settings)))
        bells[-1].start()
        return bells[-1]

    yield start
    for bell in bells:
        bell.stop()
        bell.close()


def listener(conn: Conn) -> int:
    """The pid of the one listening session."""
    ((pid,),) = until(lambda: conn.execute(LISTENERS).fetchall())
    return int(pid)


def waits(bell: Doorbell) -> threading.Thread:
    """Somebody who waits, once."""
    thread = threading.Thread(target=bell.wait, daemon=True)
    thread.start()
    return thread


def wakes(thread: threading.Thread) -> bool:
    thread.join(20)
    return not thread.is_alive()


def heard(bell: Doorbell) -> None:
    """It listens, and what it rang itself when it began to is answered."""
    assert wakes(waits(bell))


def test_a_commit_of_others_wakes(hang: Callable[..., Doorbell], conn: Conn) -> None:
    bell = hang()
    heard(bell)
    waiting = waits(bell)
    conn.execute("NOTIFY beacon_outbox")
    assert wakes(waiting)


def test_what_was_rung_while_nobody_waited_wakes_the_next(hang: Callable[..., Doorbell], conn: Conn) -> None:
    bell = hang()
    heard(bell)
    conn.execute("NOTIFY beacon_outbox")
    conn.execute("NOTIFY beacon_outbox")
    assert wakes(waits(bell))
    for _ in range(100_000):  # more than fit: it is awake anyway
        bell.ring()
    assert wakes(waits(bell))


def test_a_lost_connection_is_replaced(hang: Callable[..., Doorbell], conn: Conn, caplog: Any) -> None:
    bell = hang()
    heard(bell)
    conn.execute("SELECT pg_terminate_backend(%s)", [before := listener(conn)])
    until(lambda: wakes(waits(bell)) and "the listening connection was lost" in caplog.text)
    heard(bell)
    assert listener(conn) != before
    waiting = waits(bell)
    conn.execute("NOTIFY beacon_outbox")
    assert wakes(waiting)


def test_what_was_said_to_a_busy_publisher_is_taken(hang: Callable[..., Doorbell], conn: Conn) -> None:
    """A server must not wait for a listener who does not listen: it would keep every notification from then on."""
    bell = hang()
    heard(bell)
    listener(conn)
    for _ in range(3):
        conn.execute("NOTIFY beacon_outbox")
        until(lambda: bell._conn and select.select([bell._conn], [], [], 0)[0])
        bell.hear()
        assert not select.select([bell._conn], [], [], 0)[0]


def test_a_stop_wakes(hang: Callable[..., Doorbell]) -> None:
    bell = hang()
    heard(bell)
    waiting = waits(bell)
    bell.stop()
    assert wakes(waiting)


def test_through_a_pooler_it_polls(hang: Callable[..., Doorbell], conn: Conn, caplog: Any) -> None:
    bell = hang(db_pooler="transaction", outbox_poll_ms=10)
    assert "no LISTEN through a pooler: polling every 10 ms" in caplog.text
    assert wakes(waits(bell))
    assert conn.execute(LISTENERS).fetchall() == []


def test_a_database_that_is_away_is_asked_again_and_polling_goes_on(hang: Callable[..., Doorbell], caplog: Any) -> None:
    bell = hang(listen_database_url="postgresql://nobody@127.0.0.1:1/none", outbox_poll_ms=10)
    until(lambda: "can't listen, polling meanwhile" in caplog.text)
    assert wakes(waits(bell))


def test_it_listens_anew_when_the_other_connections_were_given_up(
    database_url: str, redis_url: str, conn: Conn
) -> None:
    """Its own may lead to the server that was given up, and hear of nothing any more."""
    with opened(settings_for(database_url, redis_url, outbox_poll_ms=50), "publisher", size=1) as db:
        bell = Doorbell(db.settings, lambda: db.drained_at)
        bell.start()
        heard(bell)
        first = listener(conn)
        with db.transaction() as own:
            pid = own.info.backend_pid
        conn.execute(b"SELECT pg_terminate_backend(%s)", [pid])
        until(lambda: one(conn, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid) == 0)
        with db.transaction() as own:
            rows(own, "sweep.clock")

        def anew() -> bool:
            bell.wait()
            return listener(conn) != first

        until(anew)
        bell.stop()
        bell.close()
