"""Two cells side by side in one database, with one Redis: neither sees the other."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from outbox_publisher.sweeper import Sweeper
from runner_cli.binaries import postgres_programs, server_user
from runner_cli.check_database import check_database
from runner_cli.embedded import EmbeddedPostgres
from runner_cli.local import login_urls, set_passwords
from runner_core.cells import AnotherCell, Cell
from runner_core.db import Database
from runner_core.errors import NotReady
from runner_core.migrate import latest, migrate
from runner_core.queries import single
from runner_core.readiness import probe
from runner_core.session import connect as connect_once
from runner_core.session import listen
from runner_core.settings import Settings
from runner_core.timeline import Fence, Timeline
from runner_queue.broker import Broker
from runner_queue.guard import Guard
from runner_queue.inspection import PUBLISHER_COMMANDS, WORKER_COMMANDS
from runner_queue.message import queue_key
from runner_queue.stack_marker import identity
from runner_worker.rq.worker import RegionWorker, connect, worker_name
from tests.cells import in_cell, own_schema
from tests.engine import running
from tests.jobs import catalogue, one, opened, settings_for, submission, submit, until
from tests.schema import SCHEMA, dump
from tests.sweeping import age, drain, expire, look_now, settle

SCHEMAS = ("cell_a", "cell_b")


@dataclass
class Side:
    """One cell: the owner's connection, and the processes' databases, each under its own login."""

    cell: Cell
    url: str
    conn: "psycopg.Connection[Any]"
    logins: dict[str, str]
    api: Database
    publisher: Database
    worker: Database
    broker: Broker

    def status(self, job_id: str) -> str:
        return str(one(self.conn, "SELECT status FROM jobs WHERE id = %s", job_id))

    def jobs(self) -> list[str]:
        return [str(row[0]) for row in self.conn.execute("SELECT id FROM jobs ORDER BY id")]


@pytest.fixture(scope="module")
def urls(shared_database_url: str) -> list[str]:
    """The owner's URLs of two cells, in a database that holds a third one already."""
    found = [in_cell(shared_database_url.partition("?")[0], schema) for schema in SCHEMAS]
    assert [migrate(url) for url in found] == [latest()] * 2
    return found


@pytest.fixture
def sides(urls: list[str], redis_url: str, home: Path) -> Iterator[tuple[Side, Side]]:
    """Two cells without a job."""
    with ExitStack() as stack:
        made = []
        for schema, url in zip(SCHEMAS, urls, strict=True):
            set_passwords(home, url)
            conn = stack.enter_context(psycopg.connect(url, autocommit=True))
            conn.execute("TRUNCATE jobs CASCADE")
            logins = {name.removeprefix("DATABASE_URL_").lower(): own for name, own in login_urls(home, url).items()}
            dbs = {
                kind: stack.enter_context(opened(settings_for(logins[kind], redis_url), kind))
                for kind in ("api", "publisher", "worker")
            }
            broker = Broker(dbs["publisher"].settings)
            stack.callback(broker.close)
            made.append(Side(Cell(schema), url, conn, logins, **dbs, broker=broker))
        yield made[0], made[1]


def run_what_waits(side: Side, folder: Path) -> int:
    """One turn of the region's real worker: take, claim and run; the number of messages."""
    with running(side.worker, catalogue(folder)) as engine, connect(side.worker.settings.redis.url, 1.0) as redis:
        worker = RegionWorker(
            [side.cell.queue("beacon-us")],
            worker_name("US"),
            engine.runner,
            redis,
            region="US",
            claim_batch=9,
            grace_seconds=1,
            cell=side.cell,
        )
        taken = worker.run_once()
        until(lambda: engine.runner.busy() == 0)
    return taken


def test_the_same_job_goes_its_whole_way_in_each_cell_by_itself(sides: tuple[Side, Side], tmp_path: Path) -> None:
    """Ids, keys and nonces are unique in a cell, so both may have this job."""
    a, b = sides
    for side in sides:
        assert not submit(side.api, submission("same", regions=("US",))).replayed
    assert drain(a.publisher, a.broker) == 1
    assert (a.broker.redis.llen(queue_key("cell_a.beacon-us")), b.broker.redis.llen("rq:queue:cell_b.beacon-us")) == (
        1,
        0,
    )
    assert run_what_waits(b, tmp_path) == 0
    assert run_what_waits(a, tmp_path) == 1
    assert (a.status("same"), b.status("same")) == ("completed", "queued")
    assert drain(b.publisher, b.broker) == 1
    assert run_what_waits(b, tmp_path) == 1
    assert b.status("same") == "completed"


def test_a_sweeper_finds_the_losses_of_its_cell_alone(sides: tuple[Side, Side]) -> None:
    sweepers = [Sweeper(side.publisher, side.broker) for side in sides]
    for side, sweeper in zip(sides, sweepers, strict=True):
        settle(sweeper)
        submit(side.api, submission("lost", regions=("US",)))
        drain(side.publisher, side.broker)
        age(side.conn)
    a = sides[0]
    a.broker.redis.delete(queue_key(a.cell.queue("beacon-us")))
    assert [look_now(sweeper) for sweeper in sweepers] == [1, 0]
    for side in sides:
        expire(side.conn)
        assert one(side.conn, "SELECT count(*) FROM outbox") == (2 if side is a else 1)


def test_one_cells_locks_keep_no_other_cell_out(sides: tuple[Side, Side]) -> None:
    a, b = sides
    with a.publisher.transaction() as mine, b.publisher.transaction() as other, opened(settings_for(a.url)) as third:
        assert single(mine, "sweep.lead", work=1)["leading"]
        assert single(other, "sweep.lead", work=1)["leading"]
        with third.transaction() as again:
            assert not single(again, "sweep.lead", work=1)["leading"]


def test_a_notification_is_heard_in_its_own_cell(sides: tuple[Side, Side]) -> None:
    a, b = sides
    with listen(a.logins["publisher"], "publisher", "bell.listen_outbox") as conn:
        submit(b.api, submission("other", regions=("US",)))
        b.api.notifier.notify(["other"], outbox=True)
        b.api.notifier.stop()
        submit(a.api, submission("mine", regions=("US",)))
        notice = next(conn.notifies(timeout=10))
    assert notice.channel == "cell_a_outbox"
    assert (a.jobs(), b.jobs()) == (["mine"], ["other"])


def test_each_cell_has_its_own_marks_in_redis(sides: tuple[Side, Side]) -> None:
    for side in sides:
        fence = Fence()
        fence.learn(Timeline(side.cell.schema, 1))  # each cell on a server of its own
        guard = Guard(side.broker.redis, identity(side.publisher), PUBLISHER_COMMANDS, owns=True, fence=fence)
        guard.admit(0)
        Guard(side.broker.redis, identity(side.worker), WORKER_COMMANDS, owns=False).admit(0)
        assert guard.foreign == ""
        assert side.broker.sentinel_changed()
    a, b = sides
    marks = {b"beacon:stack:cell_a", b"beacon:stack:cell_b", b"beacon:sentinel:cell_a", b"beacon:sentinel:cell_b"}
    timelines = {b"beacon:timeline:cell_a": b"cell_a 1", b"beacon:timeline:cell_b": b"cell_b 1"}
    assert set(a.broker.redis.keys("beacon:*")) == marks | set(timelines)
    assert {key: a.broker.redis.get(key) for key in timelines} == timelines
    a.broker.redis.delete("beacon:sentinel:cell_a")
    assert (a.broker.sentinel_changed(), b.broker.sentinel_changed()) == (True, False)


@pytest.mark.parametrize("kind", ["api", "publisher", "worker", "analyst"])
def test_a_login_of_one_cell_is_refused_in_the_other(sides: tuple[Side, Side], kind: str) -> None:
    a = sides[0]
    stranger = a.logins[kind].replace("search_path%3Dcell_a", "search_path%3Dcell_b")
    with psycopg.connect(stranger, autocommit=True) as conn:
        assert conn.info.user == a.cell.login(kind)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT FROM cell_b.schema_migrations")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT cell_b.close_jobs(ARRAY['x'])")
    with (
        opened(settings_for(stranger), kind) as db,
        pytest.raises(NotReady, match=r"cell_a_.* lacks USAGE on schema cell_b"),
    ):
        probe(db)


def test_an_address_that_names_no_cell_gets_no_other_one(
    shared_database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """libpq takes PGOPTIONS where the address has no options: the keys in Redis would be those of `public`."""
    monkeypatch.setenv("PGOPTIONS", "-csearch_path=cell_a")
    plain = shared_database_url.partition("?")[0]
    with pytest.raises(AnotherCell, match="PGOPTIONS or a service file names another search_path"):
        connect_once(plain, "test")
    with opened(settings_for(plain)) as db, pytest.raises(PoolTimeout):
        db.pool.getconn(2)
    assert "PGOPTIONS or a service file names another search_path" in caplog.text


def test_the_tables_of_a_cell_are_those_of_public_but_for_the_names(sides: tuple[Side, Side]) -> None:
    assert [dump(side.url) for side in sides] == [SCHEMA.read_text("utf-8")] * 2


@pytest.mark.parametrize("word", ["user", "default"])
def test_a_reserved_word_may_name_a_cell(shared_database_url: str, home: Path, word: str) -> None:
    with own_schema(shared_database_url.partition("?")[0], word, migrated=True) as url:
        set_passwords(home, url)
        with opened(settings_for(login_urls(home, url)["DATABASE_URL_API"]), "api") as db:
            probe(db)


def test_a_cell_of_one_login_works_and_leaves_nothing_behind(
    shared_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """What the tests do in the database of CITUS_TEST_URL, and operators on Citus: every process is the owner."""
    plain = shared_database_url.partition("?")[0]
    with (
        own_schema(plain, "cell_of_one", migrated=True) as url,
        opened(settings_for(url, redis_url), "api") as api,
        opened(settings_for(url, redis_url), "worker") as db,
    ):
        probe(api)
        probe(db)
        submit(api, submission("one", regions=("US",)))
        assert drain(db, Broker(db.settings)) == 1
        with running(db, catalogue(tmp_path)) as engine:
            assert engine.run(("one", "US")) == ["finished"]
    with psycopg.connect(plain) as conn:
        left = "SELECT count(*) FROM pg_namespace WHERE nspname = 'cell_of_one'"
        assert one(conn, left) == one(conn, "SELECT count(*) FROM pg_roles WHERE rolname ~ '^cell_of_one_'") == 0


def test_a_cell_moves_to_another_server_by_the_documented_commands(
    shared_database_url: str, own_postgres: EmbeddedPostgres, home: Path
) -> None:
    root, old = Path(__file__).parents[2], shared_database_url.partition("?")[0]
    (commands,) = re.findall(r"```sh\n([^`]*`cell2`[^`]*)```", (root / "docs/rollout.md").read_text("utf-8"))
    programs = f"{postgres_programs(server_user())}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    with own_schema(old, "cell2", migrated=True) as url, opened(settings_for(url)) as db:
        submit(db, submission("moved"))
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],  # noqa: S607
            cwd=root,
            env=os.environ | {"PATH": programs, "OLD": old, "NEW": own_postgres.url},
            check=True,
        )
    moved = in_cell(own_postgres.url, "cell2")
    set_passwords(home, moved)
    for name, login_url in login_urls(home, moved).items():
        kind = name.removeprefix("DATABASE_URL_").lower()
        with opened(settings_for(login_url), kind) as db:
            probe(db)
    assert {f.level for f in check_database(Settings.from_env({}), moved)} == {"ok"}
    with psycopg.connect(moved) as conn:
        assert one(conn, "SELECT id FROM jobs") == "moved"


def test_the_migrations_by_hand_make_the_schema_that_the_command_makes(own_postgres: EmbeddedPostgres) -> None:
    """For Citus, which refuses a file of migrations in one string."""
    root, cell = Path(__file__).parents[2], in_cell(own_postgres.url, "cell2")
    page = (root / "docs/scaling.md").read_text("utf-8")
    (commands,) = re.findall(r"```sh\nCELL=.*\n([^`]*schema_migrations[^`]*)```", page)
    programs = f"{postgres_programs(server_user())}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = os.environ | {"PATH": programs, "CELL": cell}
    for _ in range(2):  # a second time nothing is left to do
        subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=root, env=env, check=True)  # noqa: S607
    assert dump(cell) == SCHEMA.read_text("utf-8")
    assert migrate(cell) == 0
