"""The limits that a session or a transaction carries, and a pool whose server is away or out of descriptors."""

from typing import Any

import psycopg
import pytest
from psycopg import errors
from psycopg_pool.base import AttemptWithBackoff

from runner_core.db import Database
from runner_core.queries import run
from tests.jobs import opened, settings_for

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
        opened(settings_for(database_url, db_write_timeout_ms=1000), size=1) as db,
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
