"""The proxy that cuts: each way does to a real PostgreSQL what its name says."""

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.crash.point import Point, Way
from bench.crash.tap import Tap
from bench.wire.postgres import PostgresReader

LATE_SECONDS = 4.0  # so long that the row is seen meanwhile, also on a slow machine
INSERT = "-- name: test.insert\nINSERT INTO cut_here VALUES (%s)"
SYNC, EXECUTE = Point("Sync test.insert", 1), Point("Execute test.insert", 1)
Connect = Callable[[], "psycopg.Connection[tuple[object, ...]]"]


@pytest.fixture
def direct(database_url: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE cut_here (n integer)")
        yield conn


@pytest.fixture
def tap(database_url: str) -> Iterator[Tap]:
    where = conninfo_to_dict(database_url)
    with Tap(PostgresReader, str(where["host"]), int(str(where["port"])), late_seconds=LATE_SECONDS) as tap:
        yield tap


@pytest.fixture
def connect(database_url: str, tap: Tap) -> Connect:
    url = make_conninfo(database_url, host="127.0.0.1", port=tap.port)
    return lambda: psycopg.connect(url, autocommit=True, prepare_threshold=None)


def rows(direct: "psycopg.Connection[tuple[object, ...]]") -> int:
    found = direct.execute("SELECT count(*) FROM cut_here").fetchone()
    assert found
    return int(str(found[0]))


def cut(tap: Tap, connect: Connect, point: Point, way: Way) -> list[int]:
    """Insert a row while this is armed; the connection is lost. Returns the ports with which the strike was called."""
    struck: list[int] = []
    conn = connect()
    tap.arm(point, way, struck.append)
    with pytest.raises(psycopg.OperationalError):
        conn.execute(INSERT, (1,))
    assert tap.hit.is_set()
    conn.close()
    return struck


@pytest.mark.parametrize("point", [EXECUTE, SYNC], ids=str)
@pytest.mark.parametrize("way", ["before", "middle"])
def test_before_and_in_the_middle_the_server_has_not_acted(
    tap: Tap, connect: Connect, direct: "psycopg.Connection[tuple[object, ...]]", point: Point, way: Way
) -> None:
    assert len(cut(tap, connect, point, way)) == 1
    assert rows(direct) == 0


@pytest.mark.parametrize("way", ["answer lost", "killed"])
def test_an_answer_is_lost_after_the_server_has_acted(
    tap: Tap, connect: Connect, direct: "psycopg.Connection[tuple[object, ...]]", way: Way
) -> None:
    """Sync commits, and the client does not know."""
    cut(tap, connect, SYNC, way)
    assert rows(direct) == 1


def test_within_a_transaction_the_server_acts_at_the_message_and_rolls_back(
    tap: Tap, connect: Connect, direct: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    """The Flush that the proxy adds makes the server execute before there is a Sync: a sequence keeps the trace."""
    direct.execute("CREATE SEQUENCE acted")
    conn = connect()
    tap.arm(Point("Execute test.next", 1), "answer lost", lambda port: None)
    with pytest.raises(psycopg.OperationalError):
        conn.execute("-- name: test.next\nINSERT INTO cut_here SELECT nextval('acted') + %s", (1,))
    assert rows(direct) == 0
    assert direct.execute("SELECT is_called FROM acted").fetchone() == (True,)


def test_late_the_answer_comes_after_the_pause(
    tap: Tap, connect: Connect, direct: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    conn = connect()
    tap.arm(SYNC, "late", lambda port: None)
    answered = threading.Event()
    thread = threading.Thread(target=lambda: (conn.execute(INSERT, (1,)), answered.set()))
    began = time.monotonic()
    thread.start()
    while rows(direct) == 0:
        assert time.monotonic() - began < 10
    assert not answered.is_set(), "the server has acted, and the client can't know yet"
    thread.join(10)
    assert answered.is_set()
    assert time.monotonic() - began >= LATE_SECONDS
    conn.close()


def test_an_exchange_is_learned_by_label_number_and_place(tap: Tap, connect: Connect) -> None:
    conn = connect()
    tap.learn()
    with conn.transaction():
        conn.execute(INSERT.replace("cut_here", "pg_temp.t").replace("INSERT", "CREATE TEMP TABLE t (n int); --"))
    learned = [passed for passed in tap.exchange if "BEGIN" in passed.point.label or "COMMIT" in passed.point.label]
    assert len({passed.exchange for passed in learned}) == 1, "one transaction is one exchange"
    assert learned[0].place == 0
    conn.close()


@pytest.mark.usefixtures("direct")
def test_the_second_message_of_a_label_is_cut_where_the_first_one_passes(tap: Tap, connect: Connect) -> None:
    conn = connect()
    tap.arm(Point("Sync test.insert", 2), "before", lambda port: None)
    conn.execute(INSERT, (1,))
    assert not tap.hit.is_set()
    with pytest.raises(psycopg.OperationalError):
        conn.execute(INSERT, (2,))


@pytest.mark.usefixtures("direct")
def test_a_proxy_that_refuses_listens_again_on_its_port(tap: Tap, connect: Connect) -> None:
    port = tap.port
    tap.refuse()
    with pytest.raises(psycopg.OperationalError):
        connect()
    tap.accept()
    assert tap.port == port
    connect().close()
