"""The parts that `up` and `demo` are made of: the home, the logins, readiness."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from runner_cli import home as home_module
from runner_cli.child import free_port
from runner_cli.exits import CommandError
from runner_cli.home import CHECKOUT, HomeInUse, claimed, default_home, make_keys, running, secret
from runner_cli.local import login_urls, running_stack, servers, set_passwords
from runner_cli.processes import StackError
from runner_core.errors import MigrationError
from runner_core.keys import PrivateKey
from runner_core.migrate import migrate
from runner_core.secret_files import PROCESSES
from runner_core.trust import TrustList
from tests.cells import CELL

READY_API = """\
import http.server, os, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health/ready" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Ready).serve_forever()
"""


@pytest.fixture
def procfile(tmp_path: Path) -> Path:
    (tmp_path / "api.py").write_text(READY_API)
    (tmp_path / "Procfile").write_text("api: python api.py\n")
    return tmp_path / "Procfile"


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), **more}


def test_a_stack_from_nothing_and_its_data_the_next_day(home: Path, procfile: Path) -> None:
    with running_stack(home, environment(), procfile=procfile) as local:
        api = local.stack.processes()[0].env
        with psycopg.connect(api["DATABASE_URL"]) as conn:
            assert conn.info.user == "beacon_api"
            assert api["DATABASE_URL"] != local.database_url
        with psycopg.connect(local.database_url, autocommit=True) as conn:
            conn.execute("CREATE TABLE kept AS SELECT 1 AS n")
        with redis.Redis.from_url(local.servers.redis_url) as client:
            client.set("kept", 1)
        logins = login_urls(home, local.database_url)
        assert local.stack.processes()[0].env["TRUSTED_KEYS_FILE"] == str(home / "trusted-keys.json")
    with running_stack(home, environment(), procfile=procfile) as local:
        with psycopg.connect(local.database_url) as conn:
            assert conn.execute("SELECT n FROM kept").fetchone() == (1,)
        with redis.Redis.from_url(local.servers.redis_url) as client:
            assert client.get("kept") == b"1"
        passwords = [url.split("@")[0] for url in login_urls(home, local.database_url).values()]
        assert passwords == [url.split("@")[0] for url in logins.values()]


def test_a_stack_that_never_gets_ready_says_why(home: Path, procfile: Path) -> None:
    procfile.write_text("api: echo no such module; exit 1\n")
    with (
        pytest.raises(StackError, match=r"(?s)ended 5 times.*no such module"),
        running_stack(home, environment(), procfile=procfile),
    ):
        pass


def test_a_database_that_can_not_be_migrated_starts_nothing(
    home: Path, procfile: Path, database_url: str, redis_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("UPDATE schema_migrations SET checksum = 'changed' WHERE version = 2")
    given = environment(DATABASE_URL=database_url, REDIS_URL=redis_url)
    with (
        pytest.raises(MigrationError, match="migration 2 was changed after it was applied"),
        running_stack(home, given, procfile=procfile),
    ):
        pass
    assert not (home / "log").exists()
    given["DATABASE_URL"] = f"postgresql://u:p@127.0.0.1:{free_port()}/d"
    with (
        pytest.raises(CommandError, match="the database does not answer"),
        running_stack(home, given, procfile=procfile),
    ):
        pass


@pytest.mark.parametrize(("setting", "before"), [("PORT", 0), ("METRICS_PORT", 1)])
def test_a_taken_port_is_named(setting: str, before: int, home: Path, procfile: Path) -> None:
    procfile.write_text("first: sleep 1\nsecond: sleep 1\n")  # the second's metrics are one port further
    with socket.create_server(("127.0.0.1", free_port())) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(StackError, match=f"Port {port} can't be used.*set {setting} to another"),
            running_stack(home, environment(**{setting: str(port - before)}), procfile=procfile),
        ):
            pass


def test_given_servers_are_used_and_nothing_is_embedded(home: Path, database_url: str, redis_url: str) -> None:
    with servers(home, {"DATABASE_URL": database_url, "REDIS_URL": redis_url}) as found:
        assert (found.database_url, found.redis_url, found.embedded) == (database_url, redis_url, [])
    assert not (home / "postgres").exists()
    assert not (home / "valkey").exists()


def test_a_server_that_died_is_revived_where_it_was(home: Path) -> None:
    with servers(home, {}) as found:
        for server in found.embedded:
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
        found.revive()
        with psycopg.connect(found.database_url) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
        with redis.Redis.from_url(found.redis_url) as client:
            assert client.ping()


def test_each_login_is_its_own(home: Path, database_url: str) -> None:
    set_passwords(home, database_url)
    urls = login_urls(home, database_url)
    assert sorted(urls) == [f"DATABASE_URL_{name}" for name in ("ANALYST", "API", "PUBLISHER", "WORKER")]
    for process in PROCESSES:
        role = CELL.login(process)
        with psycopg.connect(urls[f"DATABASE_URL_{process.upper()}"]) as conn:
            assert conn.info.user == role
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute("DROP TABLE jobs")
        assert stat.S_IMODE((home / f"{role}.password").stat().st_mode) == 0o600


def test_keys_are_made_once_and_trusted(home: Path) -> None:
    added = make_keys(home, {})
    key = PrivateKey.load(home / "signing.pem")
    assert make_keys(home, {}) == added
    assert PrivateKey.load(home / "signing.pem").public_key == key.public_key
    trusted = json.loads(Path(added["TRUSTED_KEYS_FILE"]).read_text())
    assert [entry["public_key"] for entry in trusted] == [key.public_key]
    assert TrustList.load(added["TRUSTED_KEYS_FILE"])
    assert added["ADMIN_TOKENS"] == f"local:{secret(home, 'admin-token')}"
    receipts = PrivateKey.load(added["RECEIPT_KEY_FILE"])
    assert receipts.public_key != key.public_key
    listed = json.loads((home / "runner-keys.json").read_text())
    assert [entry["public_key"] for entry in listed] == [receipts.public_key]
    given = {"TRUSTED_KEYS_FILE": "/a", "RECEIPT_KEY_FILE": "/b", "ADMIN_TOKENS": "me:x"}
    assert make_keys(home, given) == {}


def test_a_home_has_one_stack(home: Path) -> None:
    """The second is told the first's pid and URL; after a kill -9 the home is free again."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from runner_cli.home import claimed\n"
            "with claimed(Path(sys.argv[1])) as write:\n"
            "    write({'api_url': 'http://127.0.0.1:8090'}); print('held', flush=True); sys.stdin.read()",
            str(home),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(HomeInUse, match=rf"pid {holder.pid}, API http://127\.0\.0\.1:8090"), claimed(home):
        pass
    holder.kill()
    holder.communicate()
    with claimed(home):
        assert running(home)["pid"] == os.getpid()
    assert running(home) == {}


def test_the_default_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_home({"BEACON_HOME": str(tmp_path)}) == tmp_path
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    of_user = default_home({"XDG_STATE_HOME": str(tmp_path)})
    assert of_user.parent == tmp_path / "beacon-runner"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_home({}) == Path("/var/lib/beacon-runner") / of_user.name
    monkeypatch.setattr(home_module, "CHECKOUT", tmp_path)
    assert default_home({}).name != of_user.name


def test_migrations_are_not_needed_twice(database_url: str) -> None:
    assert migrate(database_url) == 0
