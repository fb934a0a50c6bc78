"""An exception inside a transaction: the work is rolled back, and the connection stays where it can."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from runner_core.db import Database
from runner_core.errors import NotFound
from runner_core.queries import row, run
from tests.jobs import one, opened, settings_for

Conn = psycopg.Connection[Any]
Work = Callable[[Conn], object]
BEAT = {"kind": "cli", "host": "here", "pid": 1, "version": "0", "region": None, "concurrency": None, "providers": None}


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """One connection, so that the next transaction meets the same backend, or a new one."""
    with opened(settings_for(database_url), size=1) as database:
        yield database


def backend_pid(db: Database) -> int:
    """Return the server process behind a transaction that reads."""
    with db.transaction() as conn:
        assert row(conn, "processes.read", process_id="nobody") is None
        return conn.info.backend_pid


def write(conn: Conn, process_id: str) -> None:
    run(conn, "processes.beat", process_id=process_id, regions_sha=None, **BEAT)


def break_off(db: Database, work: Work, error: type[BaseException] = NotFound, *, pipeline: bool = True) -> None:
    """Begin a transaction, do `work` in it, and raise `error` before its end."""
    with db.transaction(pipeline=pipeline) as own:
        work(own)
        raise error


@pytest.mark.parametrize("pipeline", [True, False])
def test_an_exception_rolls_back_and_keeps_the_connection(db: Database, conn: Conn, pipeline: bool) -> None:
    before = backend_pid(db)
    for number in range(20):

        def work(own: Conn, number: int = number) -> None:
            write(own, f"process-{number}")
            if number % 2:  # the exception meets statements that were sent, and statements that were answered
                assert row(own, "processes.read", process_id=f"process-{number}")

        with pytest.raises(NotFound):
            break_off(db, work, pipeline=pipeline)
        assert backend_pid(db) == before
    assert one(conn, "SELECT count(*) FROM processes") == 0
    with db.transaction(pipeline=pipeline) as own:
        write(own, "kept")
    assert one(conn, "SELECT count(*) FROM processes") == 1


def test_an_exception_before_the_first_statement_keeps_the_connection(db: Database) -> None:
    before = backend_pid(db)
    with pytest.raises(NotFound):
        break_off(db, lambda own: None)
    assert backend_pid(db) == before


def test_an_exception_beside_an_error_that_nobody_has_read_keeps_the_connection(db: Database, conn: Conn) -> None:
    before = backend_pid(db)

    def work(own: Conn) -> None:
        write(own, "process")
        own.execute(b"SELECT 1 / 0")

    with pytest.raises(NotFound):
        break_off(db, work)
    assert backend_pid(db) == before
    assert one(conn, "SELECT count(*) FROM processes") == 0


def test_an_exception_on_a_connection_that_is_lost_is_raised_all_the_same(db: Database, conn: Conn) -> None:
    before = backend_pid(db)

    def work(own: Conn) -> None:
        write(own, "process")
        conn.execute("SELECT pg_terminate_backend(%s, 5000)", [before])

    with pytest.raises(NotFound):
        break_off(db, work)
    assert backend_pid(db) != before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_exception_that_ends_the_process_closes_the_connection(db: Database, conn: Conn, stop: Any) -> None:
    """It may have been raised in the middle of an answer."""
    before = backend_pid(db)
    with pytest.raises(stop):
        break_off(db, lambda own: write(own, "process"), stop)
    assert backend_pid(db) != before
    assert one(conn, "SELECT count(*) FROM processes") == 0
