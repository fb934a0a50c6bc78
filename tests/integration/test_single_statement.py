"""A statement that is a transaction of its own is held to the same limits as any transaction."""

import psycopg
import pytest

from runner_core.db import LOCK_WAIT_MS
from tests.jobs import opened, settings_for

SHOW = b"SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"


@pytest.mark.parametrize("pooler", ["", "transaction"])
def test_the_limits_hold(database_url: str, redis_url: str, pooler: str) -> None:
    settings = settings_for(database_url, redis_url, db_write_timeout_ms=100, db_pooler=pooler)
    with opened(settings, size=1) as db:
        with db.statement() as conn:
            assert conn.execute(SHOW).fetchone() == ("100ms", f"{LOCK_WAIT_MS // 1000}s")
        with pytest.raises(psycopg.errors.QueryCanceled), db.statement() as conn:
            conn.execute(b"SELECT pg_sleep(30)")
        with db.transaction() as conn:
            assert conn.execute(SHOW).fetchone() == ("100ms", "0"), "a transaction has limits of its own"
        with db.statement() as conn:
            assert conn.execute(SHOW).fetchone() == ("100ms", f"{LOCK_WAIT_MS // 1000}s")
