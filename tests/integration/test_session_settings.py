"""A job runs through whatever settings the database has: each connection of ours asks for what it relies on."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbox_publisher.relay import publish_batch
from outbox_publisher.sweeper import Sweeper
from runner_cli.check_database import check_database
from runner_cli.invariants import check
from runner_core.migrate import migrate
from runner_core.queries import statements
from runner_core.readiness import probe
from runner_core.session import connect, listen, transaction
from runner_core.settings import Settings
from runner_queue.broker import Broker
from tests.cells import CELL
from tests.engine import running
from tests.hostile import HOSTILE, set_for_database
from tests.integration.api_client import Api
from tests.jobs import catalogue, one, opened, settings_for

QUESTION = "日本の首都はどこですか? \\ ' \""
NEITHER = {"date", "time", "timestamp", "interval", "timetz"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_job_runs_through_under_a_setting_of_the_database(
    database_url: str, redis_url: str, tmp_path: Path, make_api: Callable[..., Api], name: str
) -> None:
    """Through the API, the publisher and a worker, and then through `migrate`, `doctor` and `verify`."""
    set_for_database(database_url, {name: HOSTILE[name]})
    api = make_api()
    probe(api.db)
    job = api.job(questions=[QUESTION], models=["m1"], constraints={"regions": ["US", "EU"]})
    assert api.post(job).status_code == 202
    assert api.post(job).headers["Idempotency-Replayed"] == "true"
    settings = settings_for(database_url, redis_url)
    folder = tmp_path / "worker"
    folder.mkdir()
    with (
        opened(settings, "publisher") as publisher,
        opened(settings, "worker") as worker,
        running(worker, catalogue(folder, {"EU": {"options": {"fail": "http_400"}}})) as engine,
    ):
        for db in (publisher, worker):
            probe(db)
        broker = Broker(settings)
        assert publish_batch(publisher, broker) == 2
        assert engine.run((job["id"], "US"), (job["id"], "EU")) == ["finished", "finished"]
        Sweeper(publisher, broker).run_once()
        broker.close()
    read = api.get(f"/jobs/{job['id']}")
    assert read["status"] == "completed"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", read["created_at"]), read["created_at"]
    assert len(api.get(f"/jobs/{job['id']}/executions/all")["executions"]) == 2
    with connect(database_url, "test") as conn:
        assert json.dumps(QUESTION, ensure_ascii=False) in one(conn, "SELECT questions::text FROM jobs")
    assert migrate(database_url) == 0
    assert {f.level for f in check_database(Settings.from_env({}), database_url)} == {"ok"}
    assert [v for v in check(database_url, settings, signatures=True) if v.broken] == []


def test_a_listening_connection_outlives_the_limit_on_idle_sessions(database_url: str) -> None:
    """The other connection, which ends, shows that the limit has passed."""
    set_for_database(database_url, {"idle_session_timeout": "300ms"})
    with (
        listen(database_url, "test", "bell.listen_outbox") as listening,
        psycopg.connect(database_url, autocommit=True) as other,
    ):
        with pytest.raises(psycopg.OperationalError):
            list(other.notifies(timeout=30))
        with connect(database_url, "test") as sender:
            sender.execute(f"NOTIFY {CELL.channel('outbox')}, 'still here'".encode())
        assert next(listening.notifies(timeout=10)).payload == "still here"


def test_a_migration_may_take_longer_than_a_statement_of_others(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner_core import migrate as migrations

    known = migrations.migrations()
    slow = migrations.Migration(len(known) + 1, "slow", "SELECT pg_sleep(0.5)", "x")
    monkeypatch.setattr(migrations, "migrations", lambda: [*known, slow])
    set_for_database(empty_database_url, {"statement_timeout": "400ms"})
    assert migrate(empty_database_url) == len(known) + 1


def test_what_a_command_asks_for_ends_with_its_transaction(database_url: str) -> None:
    """Behind a pooler the session goes on, for others."""
    set_for_database(database_url, {"DateStyle": "German"})
    with connect(database_url, "test") as conn:
        with transaction(conn):
            assert one(conn, "SHOW DateStyle") == "ISO, YMD"
        assert one(conn, "SHOW DateStyle") == "German, DMY"


@pytest.mark.parametrize("name", list(statements()))
def test_no_statement_returns_what_another_loader_would_have_to_read(migrated: str, name: str) -> None:
    """Only timestamptz has a loader of ours. What psycopg's read of the others depends on what the server reported."""
    sql = statements()[name].sql
    names = list(dict.fromkeys(re.findall(rb"%\((\w+)\)s", sql)))
    for number, parameter in enumerate(names, 1):
        sql = sql.replace(b"%(" + parameter + b")s", b"$%d" % number)
    with psycopg.connect(migrated, autocommit=True) as conn:
        conn.pgconn.prepare(b"described", sql.replace(b"%%", b"%"))
        described: Any = conn.pgconn.describe_prepared(b"described")
        types = [conn.adapters.types.get(described.ftype(column)) for column in range(described.nfields)]
    assert {t.name for t in types if t} & NEITHER == set()
