"""PgBouncer in transaction mode between everything and PostgreSQL 15, with Redis 7: Debian 12's own servers.

What a transaction pooler can't carry is a listening connection; everything else works as it does without one. The
other tests of a stack run here too, when TEST_SERVERS=pooler says so.
"""

import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis

from runner_cli.local import Local
from runner_core.errors import MigrationError
from runner_core.migrate import latest, migrate
from tests.acceptance.sender import act, job, submit, verify, wait_for_all
from tests.cells import at_database, database_of, own_schema
from tests.jobs import one, query, until
from tests.scrape import logs, pages, total

if TYPE_CHECKING:
    from tests.conftest import Servers

Conn = psycopg.Connection[Any]
pytestmark = [
    pytest.mark.needs("pgbouncer", "redis-server", "postgres"),
    pytest.mark.parametrize("servers", ["pooler"], indirect=True),
]

# `good` answers everywhere, `bad` fails in EU alone, `slow` takes five minutes in US.
REGIONS = """
default_model = "good"
[questions]
math_basic = "What is 2+2?"
[regions.US]
[regions.EU]
[regions.ASIA]
"""
PROVIDER = """
[[providers]]
id = "{model}-{region}"
region = "{region}"
kind = "sandbox"
models = {{ {model} = "{model}" }}
options = {{ {options} }}
"""
OPTIONS = {("bad", "EU"): 'fail = "http_400"', ("slow", "US"): "delay_seconds = 300"}


@pytest.fixture
def local(stack: Callable[..., Local], tmp_path: Path) -> Local:
    """Two workers of US, one of each other region."""
    regions = tmp_path / "regions.toml"
    providers = [
        PROVIDER.format(model=model, region=region, options=OPTIONS.get((model, region), ""))
        for region in ("US", "EU", "ASIA")
        for model in ("good", "bad", "slow")
    ]
    regions.write_text(REGIONS + "".join(providers))
    env = {"REGIONS_FILE": str(regions), "DB_AUDIT": "1", "LEASE_SECONDS": "3", "HEARTBEAT_SECONDS": "1"}
    return stack(env=env, worker_us=2)


def test_migrating_through_a_pooler_leaves_no_lock_behind(servers: "Servers", empty_database_url: str) -> None:
    pooled = servers.through_pooler(at_database(empty_database_url, database_of(empty_database_url)))
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    with psycopg.connect(empty_database_url, autocommit=True) as direct:
        assert [migrate(pooled), one(direct, held)] == [latest(), 0]
        # A second pooled connection, while the first one's session is taken: it must not wait for what that one held.
        with psycopg.connect(pooled) as busy:
            busy.execute(b"SELECT 1")
            assert [migrate(pooled), one(direct, held)] == [0, 0]


def test_a_cell_is_not_migrated_through_a_pooler(servers: "Servers", empty_database_url: str) -> None:
    """What runs outside a transaction there may run in the session of another cell."""
    with own_schema(at_database(empty_database_url, database_of(empty_database_url)), "cell2", migrated=False) as url:
        with pytest.raises(MigrationError, match="the cell cell2 leads to a pooler"):
            migrate(servers.through_pooler(url))
        assert migrate(url)
        assert migrate(servers.through_pooler(url)) == 0


def status(conn: Conn, job_id: str) -> Any:
    return one(conn, "SELECT status FROM jobs WHERE id = %s", job_id)


def test_everything_works_through_a_pooler_in_transaction_mode(local: Local, conn: Conn, redis_url: str) -> None:
    assert one(conn, "SHOW server_version").startswith("15.")
    with redis.Redis.from_url(redis_url) as client:
        assert client.info("server")["redis_version"].startswith("7.")

    # Jobs complete: more than one pool of connections holds at a time.
    done = [submit(local, job(local, models=("good",))) for _ in range(20)]
    wait_for_all(conn)
    assert {status(conn, job_id) for job_id in done} == {"completed"}

    # One is cancelled while a provider is called.
    slow = submit(local, job(local, models=("slow",)))
    until(lambda: one(conn, "SELECT count(*) FROM answers WHERE job_id = %s AND status = 'started'", slow))
    until(lambda: one(conn, "SELECT count(*) FROM executions WHERE job_id = %s", slow) == 2)
    with events(local, slow) as stream:
        assert stream.readline().startswith(b"retry: ")
        code, answer = act(local, slow, "cancel")
        assert (code, answer["new_status"], answer["executions_cancelled"]) == (200, "cancelled", 1)
        assert b"event: end" in stream.read(), "the stream ends with its job, although nothing could be listened to"
    assert act(local, slow, "cancel")[0] == 409

    # One fails in a region, is retried there, and fails again: an attempt more, nothing else.
    bad = submit(local, job(local, models=("bad",), constraints={"regions": ["US", "EU"], "min_regions": 2}))
    wait_for_all(conn)
    assert status(conn, bad) == "failed"
    code, answer = act(local, bad, "retry")
    assert (code, answer["retried"]) == (202, [{"region": "EU", "model_id": "bad"}])
    wait_for_all(conn)
    runs = query(conn, "SELECT region, attempt FROM region_runs WHERE job_id = %s", bad)
    assert {run["region"]: run["attempt"] for run in runs} == {"US": 1, "EU": 2}

    # A worker dies in a call; its lease is taken back and the other one goes on.
    held = submit(local, job(local, "US", models=("slow",)))
    holder = until(lambda: one(conn, "SELECT worker FROM region_runs WHERE job_id = %s AND attempt = 1", held))
    worker = next(p.name for p in local.stack.processes() if str(p.pid) == holder.rsplit("-", 2)[1])
    local.stack.kill(worker)
    until(lambda: one(conn, "SELECT attempt FROM region_runs WHERE job_id = %s", held) == 2)
    assert act(local, held, "cancel")[0] == 200

    assert verify(local) == []
    check_connections(local, conn)


def events(local: Local, job_id: str) -> Any:
    """The job's event stream, open."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders = [("Accept", "text/event-stream")]
    return opener.open(f"{local.api_url}/api/v1/jobs/{job_id}/events", timeout=20)


def check_connections(local: Local, conn: Conn) -> None:
    """Nobody prepared or listened; each process that would have listened says so once; no write failed."""
    assert one(conn, "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'listen%'") == 0
    written = logs(local)
    for name, text in written.items():
        said = [line for line in text.splitlines() if "LISTEN does not work through a pooler" in line]
        assert len(said) == (1 if name in ("api.1", "publisher.1") else 0), (name, said)
        assert " ERROR " not in text, (name, text)
        assert "Traceback" not in text, (name, text)
    assert [name for name, page in pages(local).items() if total(page, "db_write_errors_total")] == []
