"""Each row of the table of errors, raised on a real server by a trigger, and what is done about it.

A trigger can raise any SQLSTATE; what really causes the states is in test_server_states.py and in database/.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from prometheus_client import REGISTRY

from runner_core.db import Database
from runner_core.failures import OTHER, STATES, TABLE, Failure, failure_of
from runner_core.queries import run
from runner_core.sqlstate import sqlstate
from tests.integration.api_client import Api
from tests.jobs import opened, settings_for
from tests.write_errors import Counted

Conn = psycopg.Connection[Any]
RAISED = [(failure, state) for failure in (*TABLE, OTHER) for state in failure.states]
RAISED = [(failure, state) for failure, state in RAISED if state not in ("pool_timeout", "0A000")]  # no trigger's
ONE_OF_EACH = list({failure.name: (failure, state) for failure, state in reversed(RAISED)}.values())


@pytest.fixture
def raises(conn: Conn) -> Callable[[str, str], None]:
    """raises("processes", "53100") makes every insert into the table fail so, until it is called with "".

    A state that is none is taken from the row's own column `version`.
    """
    conn.execute(
        b"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'as told'"
        b" USING ERRCODE ="
        b" CASE WHEN length(TG_ARGV[0]) = 5 THEN TG_ARGV[0] ELSE to_jsonb(NEW) ->> 'version' END; END $$"
    )

    def make(table: str, state: str) -> None:
        conn.execute(f"DROP TRIGGER IF EXISTS fail ON {table}".encode())
        if state:
            made = f"CREATE TRIGGER fail BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fail('{state}')"
            conn.execute(made.encode())

    return make


backends: list[int] = []


def beat(db: Database, version: str = "1", used: list[int] = backends) -> int:
    """A small write; adds its connection's backend to `used` and returns it."""
    with db.statement() as own:
        used.append(own.info.backend_pid)
        values = {"process_id": uuid4().hex, "kind": "cli", "region": None, "host": "h", "pid": 1, "version": version}
        run(own, "processes.beat", **values, regions_sha=None, concurrency=None, providers=None)
    return used[-1]


def both(db: Database) -> set[int]:
    """The backends of the pool's two connections."""
    held = [db.pool.getconn(), db.pool.getconn()]
    pids = {own.info.backend_pid for own in held}
    for own in held:
        db.pool.putconn(own)
    return pids


def errors_counted(state: str) -> float:
    return REGISTRY.get_sample_value("db_write_errors_total", {"sqlstate": state}) or 0.0


def test_an_error_is_of_its_row_and_is_counted_under_its_state(
    database_url: str, raises: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    """What a worker tries again for as long as it takes is a warning, all else an error."""
    with opened(settings_for(database_url), "worker", size=1) as db:
        for failure, state in RAISED:
            raises("processes", state)
            before = errors_counted(state)
            caplog.clear()
            with pytest.raises(psycopg.Error) as raised:
                beat(db)
            assert sqlstate(raised.value) == state
            assert failure_of(raised.value) is failure, state
            assert errors_counted(state) == before + 1
            [line] = [r for r in caplog.records if r.getMessage().startswith("statement failed")]
            assert line.levelno == (logging.WARNING if failure.concerns == "server" else logging.ERROR), state


@pytest.mark.parametrize("kind", ["api", "worker"])
def test_its_connection_is_closed_and_the_pool_drained_as_the_row_says(
    database_url: str, raises: Callable[[str, str], None], kind: str
) -> None:
    for failure, state in ONE_OF_EACH:
        raises("processes", state)
        with opened(settings_for(database_url), kind, size=2) as db:
            before = both(db)
            backends.clear()
            with pytest.raises(psycopg.Error):
                beat(db)
            [failed] = backends
            (other,) = before - {failed}
            after = both(db)
        assert (failed not in after) == failure.ends_connection, state
        assert (other not in after) == failure.drains_pool, state


@pytest.mark.parametrize("kind", ["api", "worker"])
def test_the_verb_is_tried_as_often_as_the_row_says(
    database_url: str, raises: Callable[[str, str], None], kind: str
) -> None:
    """Each in a thread of its own, because the pauses between the tries add up."""

    def try_out(failure: Failure, state: str) -> list[int]:
        used: list[int] = []
        with opened(settings_for(database_url), kind, size=2) as db, pytest.raises(psycopg.Error):
            db.retry(lambda: beat(db, state, used))
        return used

    raises("processes", "as its row says")
    with ThreadPoolExecutor(8) as pool:
        tried = list(pool.map(lambda one: try_out(*one), ONE_OF_EACH))
    for (failure, state), used in zip(ONE_OF_EACH, tried, strict=True):
        assert len(used) == (failure.api_tries if kind == "api" else failure.tries), state
        if failure.ends_connection:
            assert len(set(used)) == len(used), f"{state}: each try has a connection of its own"


def test_the_api_answers_as_the_row_says_and_then_accepts(
    api: Api, raises: Callable[[str, str], None], unhurried: None
) -> None:
    api.submit()
    for failure, state in ONE_OF_EACH:
        raises("jobs", state)
        counted = Counted()
        answer = api.post(api.job())
        if failure.api_tries == 1:
            assert "retries" not in counted(), state
        expected = 409 if state == "55P03" else failure.status  # as if the same request were being accepted
        assert (answer.status_code, "Retry-After" in answer.headers) == (expected, expected != 500), state
        raises("jobs", "")
        assert [api.post(api.job()).status_code for _ in range(3)] == [202] * 3, state


def test_a_state_without_a_row_is_counted_as_other(database_url: str, raises: Callable[[str, str], None]) -> None:
    raises("processes", "P0001")
    before = errors_counted("other")
    with opened(settings_for(database_url), "worker", size=1) as db, pytest.raises(psycopg.Error) as raised:
        beat(db)
    assert failure_of(raised.value) is OTHER
    assert errors_counted("other") == before + 1


def test_every_state_has_its_series_before_the_first_error() -> None:
    for state in STATES:
        assert REGISTRY.get_sample_value("db_write_errors_total", {"sqlstate": state}) is not None


def test_a_notification_that_fails_is_a_warning(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its loss costs its receivers their polling interval."""
    with opened(settings_for(database_url), "api", size=1) as db:
        db.notifier.notify(["x" * 8000])  # PostgreSQL refuses a payload that long
        db.notifier.stop()
    failed = [r for r in caplog.records if "bell.ring" in r.getMessage() or r.name == "bell"]
    assert failed
    assert {r.levelno for r in failed} == {logging.WARNING}
