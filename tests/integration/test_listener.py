"""What wakes a publisher: commits of others, its own process, a stop; and a lost connection is replaced."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from outbox_publisher.listener import OutboxListener
from runner_core.queries import rows
from tests.cells import CELL, in_cell
from tests.jobs import one, opened, settings_for, until

NEVER = 60_000  # milliseconds: no poll wakes anybody within these tests
LISTENERS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'beacon-publisher-listen' AND query LIKE '%LISTEN%'"
)
Conn = psycopg.Connection[Any]
Start = Callable[..., OutboxListener]


@pytest.fixture
def listen(database_url: str, redis_url: str) -> Iterator[Start]:
    """A started listener; closed after the test."""
    listeners = []

    def start(**settings: Any) -> OutboxListener:
        listeners.append(OutboxListener(settings_for(database_url, redis_url, **{"outbox_poll_ms": NEVER} | settings)))
        listeners[-1].start()
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.stop()
        listener.close()


def listening_pid(conn: Conn) -> int:
    """The pid of the one listening session. One that was ended may be there for a moment longer."""
    ((pid,),) = until(lambda: found if len(found := conn.execute(LISTENERS).fetchall()) == 1 else [])
    return int(pid)


def waits(listener: OutboxListener) -> threading.Thread:
    """Somebody who waits, once."""
    thread = threading.Thread(target=listener.wait, daemon=True)
    thread.start()
    return thread


def wakes(thread: threading.Thread) -> bool:
    thread.join(20)
    return not thread.is_alive()


def heard(listener: OutboxListener) -> None:
    """It listens, and its own wake when it began to is answered."""
    assert wakes(waits(listener))


def test_a_commit_of_others_wakes(listen: Start, conn: Conn) -> None:
    listener = listen()
    heard(listener)
    waiting = waits(listener)
    conn.execute(f"NOTIFY {CELL.channel('outbox')}".encode())
    assert wakes(waiting)


def test_a_notification_that_came_while_nobody_waited_wakes_the_next(listen: Start, conn: Conn) -> None:
    listener = listen()
    heard(listener)
    conn.execute(f"NOTIFY {CELL.channel('outbox')}".encode())
    conn.execute(f"NOTIFY {CELL.channel('outbox')}".encode())
    assert wakes(waits(listener))
    for _ in range(100_000):  # more than fit: it is awake anyway
        listener.wake()
    assert wakes(waits(listener))


def test_a_lost_connection_is_replaced(listen: Start, conn: Conn, caplog: Any) -> None:
    listener = listen()
    heard(listener)
    conn.execute("SELECT pg_terminate_backend(%s)", [before := listening_pid(conn)])
    until(lambda: wakes(waits(listener)) and "the listening connection was lost" in caplog.text, 20)
    heard(listener)
    assert listening_pid(conn) != before
    waiting = waits(listener)
    conn.execute(f"NOTIFY {CELL.channel('outbox')}".encode())
    assert wakes(waiting)


def test_what_was_said_to_a_busy_publisher_is_taken(listen: Start, conn: Conn) -> None:
    """A server must not wait for a listener who does not listen: it would keep every notification from then on."""
    listener = listen()
    heard(listener)
    listening_pid(conn)
    for _ in range(3):
        conn.execute(f"NOTIFY {CELL.channel('outbox')}".encode())
        until(listener.has_notifications)
        listener.consume()
        assert not listener.has_notifications()


def test_a_stop_wakes(listen: Start) -> None:
    listener = listen()
    heard(listener)
    waiting = waits(listener)
    listener.stop()
    assert wakes(waiting)


def test_through_a_pooler_it_polls(listen: Start, conn: Conn, caplog: Any) -> None:
    listener = listen(db_pooler="transaction", outbox_poll_ms=10)
    assert "LISTEN does not work through a pooler: polling every 10 ms" in caplog.text
    assert wakes(waits(listener))
    assert conn.execute(LISTENERS).fetchall() == []


def test_a_database_that_is_away_is_asked_again_and_polling_goes_on(listen: Start, caplog: Any) -> None:
    listener = listen(
        listen_database_url=in_cell("postgresql://nobody@127.0.0.1:1/none", CELL.schema), outbox_poll_ms=10
    )
    until(lambda: "can't listen for notifications, polling" in caplog.text)
    assert wakes(waits(listener))


def test_it_listens_anew_when_the_other_connections_were_given_up(
    database_url: str, redis_url: str, conn: Conn
) -> None:
    """Its own may lead to the server that was given up, and hear of nothing any more."""
    with opened(settings_for(database_url, redis_url, outbox_poll_ms=50), "publisher", size=1) as db:
        listener = OutboxListener(db.settings, lambda: db.drained_at)
        listener.start()
        heard(listener)
        first = listening_pid(conn)
        with db.transaction() as own:
            pid = own.info.backend_pid
        conn.execute(b"SELECT pg_terminate_backend(%s)", [pid])
        until(lambda: one(conn, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid) == 0)
        with db.transaction() as own:
            rows(own, "sweep.clock")

        def anew() -> bool:
            listener.wait()
            return listening_pid(conn) != first

        until(anew)
        listener.stop()
        listener.close()
