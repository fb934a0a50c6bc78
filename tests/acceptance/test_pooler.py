"""PgBouncer in transaction mode between everything and PostgreSQL 15, with Redis 7: Debian 12's own servers.

What a transaction pooler can't carry is a listening connection; everything else works as it does without one.
"""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from runner_cli.binaries import make_folder, server_user
from runner_cli.child import end, free_port, spawn, start_until_ready
from runner_cli.embedded import ENVIRONMENT, EmbeddedPostgres, EmbeddedValkey
from runner_cli.home import secret
from runner_cli.local import LOGINS, Local, login_urls, running_stack, set_passwords
from runner_core.migrate import latest, migrate
from tests.acceptance.sender import act, job, submit, wait_for_all
from tests.jobs import one, query, until
from tests.scrape import logs, pages, total

Conn = psycopg.Connection[Any]
# The system's, not the wheel's; 15 where there are several.
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: folder.parent.name == "15", default=Path())

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

# Not one of PgBouncer's defaults is changed but where it is and that it pools by transaction.
CONFIGURATION = """
[databases]
beacon = host={host} port={port} dbname=beacon
fresh = host={host} port={port} dbname=beacon_new
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
server_round_robin = 1
"""


@pytest.fixture
def postgres(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedPostgres]:
    """PostgreSQL 15, migrated, with the three logins."""
    monkeypatch.setattr("runner_cli.embedded.postgres_programs", lambda _: POSTGRES)
    server = EmbeddedPostgres(home)
    try:
        url = server.start()
        migrate(url)
        set_passwords(home, url)
        yield server
    finally:
        server.stop()


@pytest.fixture
def redis_7(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Redis 7's URL."""
    monkeypatch.setattr("runner_cli.embedded.valkey_program", lambda _: Path(str(shutil.which("redis-server"))))
    server = EmbeddedValkey(home)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def pooled(home: Path, postgres: EmbeddedPostgres) -> Iterator[str]:
    """The owner's URL through PgBouncer, which runs as a normal user, because it refuses to be root."""
    user = server_user()
    folder = make_folder(home / "pgbouncer", user)
    listen = free_port()
    users, configuration, log = folder / "users.txt", folder / "pgbouncer.ini", folder / "pgbouncer.log"
    passwords = {role: secret(home, f"{role}.password") for role in LOGINS.values()}
    users.write_text(
        "".join(f'"{name}" "{word}"\n' for name, word in (passwords | {postgres.user: postgres.password}).items())
    )
    configuration.write_text(CONFIGURATION.format(host=postgres.host, port=postgres.port, listen=listen, users=users))
    for path in (users, configuration):
        path.chmod(0o600)
        os.chown(path, user.uid if user else -1, user.gid if user else -1)

    def launch() -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return spawn(
                [str(shutil.which("pgbouncer", path=f"{os.defpath}:/usr/sbin")), str(configuration)],
                death_signal=signal.SIGTERM,
                env=ENVIRONMENT | {"USER": user.name if user else pwd.getpwuid(os.geteuid()).pw_name},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **(user.popen if user else {}),
            )

    def listening(_: "subprocess.Popen[bytes]") -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", listen)) == 0

    process = start_until_ready("PgBouncer", launch, listening, log)
    yield postgres.url.replace(f":{postgres.port}/", f":{listen}/")
    end(process, (signal.SIGINT, 5.0))


@pytest.fixture
def local(home: Path, tmp_path: Path, postgres: EmbeddedPostgres, pooled: str, redis_7: str) -> Iterator[Local]:
    """Two workers of US, one of each other region, all of them through the pooler; so is the schema's check."""
    regions = tmp_path / "regions.toml"
    providers = [
        PROVIDER.format(model=model, region=region, options=OPTIONS.get((model, region), ""))
        for region in ("US", "EU", "ASIA")
        for model in ("good", "bad", "slow")
    ]
    regions.write_text(REGIONS + "".join(providers))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_URL")}
    env = kept | {
        "BEACON_TEST": "1",
        "DATABASE_URL": pooled,
        "DB_POOLER": "transaction",
        "DB_AUDIT": "1",
        "REDIS_URL": redis_7,
        "REGIONS_FILE": str(regions),
        "ALLOW_SANDBOX": "1",
        "LEASE_SECONDS": "3",
        "HEARTBEAT_SECONDS": "1",
        "STOP_GRACE_SECONDS": "5",
        **login_urls(home, pooled),
    }
    with ExitStack() as stop:
        yield stop.enter_context(running_stack(home, env, {"worker_us": 2}))


@pytest.mark.needs("pgbouncer", "postgres")
def test_migrating_through_a_pooler_leaves_no_lock_behind(
    postgres: EmbeddedPostgres, pooled: str, direct: Conn
) -> None:
    direct.execute(b"CREATE DATABASE beacon_new")
    fresh = pooled.rsplit("/", 1)[0] + "/fresh"
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert [migrate(fresh), one(direct, held)] == [latest(), 0]
    # A second pooled connection, while the first one's session is taken: it must not wait for what that one held.
    with psycopg.connect(fresh) as busy:
        busy.execute(b"SELECT 1")
        assert [migrate(fresh), one(direct, held)] == [0, 0]


@pytest.fixture
def direct(postgres: EmbeddedPostgres) -> Iterator[Conn]:
    """The owner's connection past the pooler."""
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        yield conn


def status(conn: Conn, job_id: str) -> Any:
    return one(conn, "SELECT status FROM jobs WHERE id = %s", job_id)


@pytest.mark.needs("pgbouncer", "redis-server", "postgres")
def test_everything_works_through_a_pooler_in_transaction_mode(
    local: Local, pooled: str, direct: Conn, redis_7: str
) -> None:
    assert one(direct, "SHOW server_version").startswith("15.")
    with redis.Redis.from_url(redis_7) as client:
        assert client.info("server")["redis_version"].startswith("7.")

    # Jobs complete: more than one pool of connections holds at a time.
    done = [submit(local, job(local, models=("good",))) for _ in range(20)]
    wait_for_all(direct)
    assert {status(direct, job_id) for job_id in done} == {"completed"}

    # One is cancelled while a provider is called.
    slow = submit(local, job(local, models=("slow",)))
    until(lambda: one(direct, "SELECT count(*) FROM answers WHERE job_id = %s AND status = 'started'", slow))
    until(lambda: one(direct, "SELECT count(*) FROM executions WHERE job_id = %s", slow) == 2)
    with events(local, slow) as stream:
        assert stream.readline().startswith(b"retry: ")
        code, answer = act(local, slow, "cancel")
        assert (code, answer["new_status"], answer["executions_cancelled"]) == (200, "cancelled", 1)
        assert b"event: end" in stream.read(), "the stream ends with its job, although nothing could be listened to"
    assert act(local, slow, "cancel")[0] == 409

    # One fails in a region, is retried there, and fails again: an attempt more, nothing else.
    bad = submit(local, job(local, models=("bad",), constraints={"regions": ["US", "EU"], "min_regions": 2}))
    wait_for_all(direct)
    assert status(direct, bad) == "failed"
    code, answer = act(local, bad, "retry")
    assert (code, answer["retried"]) == (202, [{"region": "EU", "model_id": "bad"}])
    wait_for_all(direct)
    runs = query(direct, "SELECT region, attempt FROM region_runs WHERE job_id = %s", bad)
    assert {run["region"]: run["attempt"] for run in runs} == {"US": 1, "EU": 2}

    # A worker dies in a call; its lease is taken back and the other one goes on.
    held = submit(local, job(local, "US", models=("slow",)))
    holder = until(lambda: one(direct, "SELECT worker FROM region_runs WHERE job_id = %s AND attempt = 1", held))
    worker = next(p.name for p in local.stack.processes() if str(p.pid) == holder.rsplit("-", 2)[1])
    local.stack.kill(worker)
    until(lambda: one(direct, "SELECT attempt FROM region_runs WHERE job_id = %s", held) == 2)
    assert act(local, held, "cancel")[0] == 200

    assert verify(pooled, redis_7) == []
    check_connections(local, direct)


def events(local: Local, job_id: str) -> Any:
    """The job's event stream, open."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders = [("Accept", "text/event-stream")]
    return opener.open(f"{local.api_url}/api/v1/jobs/{job_id}/events", timeout=20)


def verify(url: str, redis_url: str) -> list[Any]:
    """What `beacon verify` finds broken, asked through the pooler as well."""
    env = os.environ | {"DATABASE_URL": url, "REDIS_URL": redis_url, "DB_POOLER": "transaction"}
    env |= {"BEACON_TEST": "1", "LEASE_SECONDS": "3", "HEARTBEAT_SECONDS": "1"}
    command = [sys.executable, "-m", "runner_cli", "verify", "--json", "--signatures"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout, done.stderr
    return [verdict for verdict in json.loads(done.stdout) if verdict["broken"]]


def check_connections(local: Local, direct: Conn) -> None:
    """Nobody prepared or listened; each process that would have listened says so once; no write failed."""
    assert one(direct, "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'listen%'") == 0
    written = logs(local)
    for name, text in written.items():
        said = [line for line in text.splitlines() if "no LISTEN through a pooler" in line]
        assert len(said) == (1 if name in ("api.1", "publisher.1") else 0), (name, said)
        assert " ERROR " not in text, (name, text)
        assert "Traceback" not in text, (name, text)
    assert [name for name, page in pages(local).items() if total(page, "db_write_errors_total")] == []
