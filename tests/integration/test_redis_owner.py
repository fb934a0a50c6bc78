"""Two stacks on one Redis database: the second one says so and takes nothing, until the first one is gone."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from runner_cli.check_redis import check_redis
from runner_cli.child import free_port
from runner_core.db import Database
from runner_core.errors import NotReady
from runner_core.settings import Settings
from runner_core.timeline import Fence, Timeline
from runner_queue import inspection
from runner_queue.guard import Guard
from runner_queue.stack_marker import KEY, OWNED_SECONDS, identity, identity_of
from tests.cells import CELL
from tests.jobs import one, opened, settings_for, submission, submit, until

REGIONS = Path(__file__).parents[2] / "regions/sandbox.toml"
PUBLISHER, WORKER = ("outbox_publisher",), ("runner_worker", "--region", "US")
SAYS = "Redis is in use by the stack of another database"
Client = "redis.Redis[bytes]"
MARKER = CELL.key(KEY)  # of the cell in which the tests run
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


@pytest.fixture
def db(database_url: str, redis_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url, redis_url)) as made:
        yield made


@pytest.fixture
def start(database_url: str, redis_url: str) -> Iterator[Start]:
    """Starts `python -m` with this database and this Redis."""
    made: list[subprocess.Popen[str]] = []
    base = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "REGIONS_FILE": str(REGIONS), "ALLOW_SANDBOX": "1"}

    def process(*command: str, **env: str) -> "subprocess.Popen[str]":
        made.append(
            subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**os.environ, **base, "PROBE_SECONDS": "0", **env},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return made[-1]

    yield process
    for ended in made:
        ended.kill()
        ended.communicate()


def guard(client: Client, own: str, *, owns: bool = True) -> Guard:
    return Guard(client, own, inspection.PUBLISHER_COMMANDS, owns=owns)


def test_a_database_is_named_by_its_server_its_number_and_its_schema(db: Database, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        system, oid, name = conn.execute(
            "SELECT (SELECT system_identifier FROM pg_control_system()), oid, datname"
            " FROM pg_database WHERE datname = current_database()"
        ).fetchone() or ("", "", "")
        assert identity_of(conn) == identity(db) == f"{system}/{oid}/{CELL.schema} {name}"


def test_every_login_sees_the_same_name_also_where_the_server_has_none(db: Database, conn: Any) -> None:
    whole = identity(db)
    for role in (CELL.login("publisher"), CELL.login("worker")):
        conn.execute(f"SET ROLE {role}")
        assert identity_of(conn) == whole
        conn.execute("RESET ROLE")
    conn.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    conn.execute(f"SET ROLE {CELL.login('worker')}".encode())
    assert identity_of(conn).startswith("since-")
    assert identity_of(conn).partition("/")[2] == whole.partition("/")[2]


def test_publishers_keep_the_key_and_set_it_again_when_redis_was_emptied(client: Client) -> None:
    mine = guard(client, "1/1/public mine")
    mine.admit(0)
    assert client.get(KEY) == b"1/1/public mine"
    assert 0 < client.ttl(KEY) <= OWNED_SECONDS
    client.flushdb()
    until(lambda: mine.look() == "" and client.get(KEY) == b"1/1/public mine", 20)
    client.expire(KEY, 5)
    until(lambda: mine.look() == "" and client.ttl(KEY) > 5, 20)


@pytest.mark.parametrize("answers", [True, False])
def test_a_stack_whose_database_moves_to_another_server_stays_the_owner(client: Client, answers: bool) -> None:
    """After an upgrade, a restore or a move: processes that go on and processes that start later are one stack."""
    fence, told = Fence(), iter(() if answers else (psycopg.OperationalError("the server is starting"),))
    fence.learn(Timeline("1", 9))

    def identify() -> str:
        for error in told:
            raise error
        return "2/1/public mine"

    mine = Guard(client, "1/1/public mine", inspection.PUBLISHER_COMMANDS, owns=True, fence=fence, identify=identify)
    mine.admit(0)
    assert client.get(KEY) == b"1/1/public mine"
    fence.learn(Timeline("2", 1))
    until(lambda: mine.look() == "" and client.get(KEY) == b"2/1/public mine", 20)
    guard(client, "2/1/public mine", owns=False).admit(0)
    with pytest.raises(NotReady, match=SAYS):
        guard(client, "1/1/public mine").admit(0)


def test_the_owner_has_its_key_again_before_the_refused_may_ask(client: Client) -> None:
    """Redis was emptied while both stacks ran."""
    mine, other = guard(client, "1/1/public mine"), guard(client, "1/2/public other")
    mine.admit(0)
    assert other.look()
    client.flushdb()
    until(lambda: [mine.look(), other.look()] == ["", ""] or client.exists(KEY), 20)
    assert client.get(KEY) == b"1/1/public mine"


def test_nothing_may_be_taken_before_redis_has_said_whose_it_is() -> None:
    """A process that starts while Redis is away: whose messages lie there is not known yet."""
    with redis.Redis(port=free_port()) as nobody:
        late = guard(nobody, "1/1/public mine")
        late.admit(0)
        assert late.look()


def test_a_worker_takes_no_possession(client: Client) -> None:
    guard(client, "1/1/public mine", owns=False).admit(0)
    assert client.exists(KEY) == 0


def test_who_comes_second_is_refused_until_the_key_has_ended(client: Client) -> None:
    guard(client, "1/1/public mine").admit(0)
    for owns in (True, False):
        with pytest.raises(NotReady, match=SAYS):
            guard(client, "1/2/public other", owns=owns).admit(0)
    assert client.get(KEY) == b"1/1/public mine"
    client.pexpire(KEY, 300)
    guard(client, "1/2/public other").admit(20)
    assert client.get(KEY) == b"1/2/public other"


def test_the_processes_of_a_second_stack_end_and_say_why(client: Client, start: Start) -> None:
    client.set(MARKER, "1/1/public elsewhere", ex=600)
    for command in (PUBLISHER, WORKER):
        process = start(*command)
        said = process.communicate(timeout=60)[0]
        assert (process.returncode, f"{SAYS} (named elsewhere)" in said, "Traceback" in said) == (1, True, False), said


def test_doctor_says_whose_redis_it_is(client: Client, database_url: str, redis_url: str, db: Database) -> None:
    settings = Settings.from_env({"REDIS_URL": redis_url})

    def told() -> dict[str, tuple[str, str]]:
        return {f.subject: (f.level, f.text) for f in check_redis(settings, database_url)}

    assert "stack" not in told(), "nobody's yet"
    guard(client, identity(db)).admit(0)
    assert told()["stack"][0] == "ok"
    client.set(MARKER, "1/1/public elsewhere")
    level, text = told()["stack"]
    assert (level, text.startswith(SAYS)) == ("error", True)


def test_a_running_stack_stops_taking_and_pushing_while_another_owns_redis(
    client: Client, start: Start, db: Database, conn: "psycopg.Connection[Any]"
) -> None:
    """And goes on by itself when the other is gone; every process says so, as a gauge too."""
    ports = {command: free_port() for command in (PUBLISHER, WORKER)}
    for command, port in ports.items():
        start(*command, METRICS_PORT=str(port), PROBE_SECONDS="20")
    shape: dict[str, Any] = {"regions": ("US",), "models": ("smollm2-135m",), "questions": ("math_basic",)}

    def status(job_id: str) -> Any:
        return one(conn, "SELECT status FROM jobs WHERE id = %s", job_id)

    def gauges() -> list[bool]:
        pages = [urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode() for port in ports.values()]
        return ['redis_unfit{reason="another_stack"} 1.0' in page for page in pages]

    submit(db, submission("first", **shape))
    until(lambda: status("first") == "completed", 60)
    assert gauges() == [False, False]
    client.set(MARKER, "1/1/public elsewhere", ex=600)
    until(lambda: gauges() == [True, True])
    client.rpush(f"rq:queue:{CELL.queue('beacon-us')}", "of-the-other-stack")
    submit(db, submission("second", **shape))
    until(lambda: one(conn, "SELECT count(*) FROM outbox WHERE job_id = 'second' AND processed_at IS NULL") == 1)
    assert client.lrange(f"rq:queue:{CELL.queue('beacon-us')}", 0, -1) == [b"of-the-other-stack"]
    client.delete(MARKER)
    until(lambda: status("second") == "completed", 60)
    assert gauges() == [False, False]
