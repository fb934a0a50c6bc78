"""A database with a proxy before it that loses what it is told to lose."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from runner_core.db import Database
from runner_core.queries import run
from tests.commit_proxy import CommitProxy
from tests.jobs import opened, settings_for, submission, submit

Conn = psycopg.Connection[Any]


@pytest.fixture
def proxy(database_url: str) -> Iterator[CommitProxy]:
    where = psycopg.conninfo.conninfo_to_dict(database_url)
    with CommitProxy(str(where["host"]), int(where["port"])) as proxy_server:
        yield proxy_server


@pytest.fixture
def proxied(database_url: str, proxy: CommitProxy) -> str:
    """The database's URL through the proxy."""
    host, _, name = database_url.rpartition("@")[2].partition("/")
    return database_url.replace(f"@{host}/{name}", f"@127.0.0.1:{proxy.port}/{name}")


@pytest.fixture
def db(proxied: str, redis_url: str) -> Iterator[Database]:
    """One connection, so that the next fault meets the next transaction."""
    with opened(settings_for(proxied, redis_url, db_write_timeout_ms=8000), size=1) as database:
        with database.transaction() as conn:
            run(conn, "sweep.clock")
        yield database


@pytest.fixture
def plain(database_url: str) -> Iterator[Database]:
    """The same database without the proxy: what comes before the fault, and the notifications that follow, go here."""
    with opened(settings_for(database_url), size=4) as database:
        yield database


@pytest.fixture
def held(database_url: str) -> Iterator[Conn]:
    """A transaction that holds the job `held`."""
    with opened(settings_for(database_url)) as db:
        submit(db, submission("held", regions=("US",)))
    with psycopg.connect(database_url) as holder:
        holder.execute(b"SELECT 1 FROM jobs WHERE id = 'held' FOR UPDATE")
        yield holder
