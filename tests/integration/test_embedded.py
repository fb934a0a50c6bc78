"""The embedded servers: data that survives, crashes that are cleaned up, nothing left when the parent is killed."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from runner_cli import binaries
from runner_cli.binaries import EmbeddedError, ServerUser
from runner_cli.child import end
from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.cells import at_database
from tests.jobs import until

ORPHANING_PARENT = """
import sys
from pathlib import Path
from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
postgres, valkey = EmbeddedPostgres(Path(sys.argv[1])), EmbeddedValkey(Path(sys.argv[1]))
postgres.start(), valkey.start()
print(postgres.pid, valkey.pid, flush=True)
sys.stdin.read()
"""


INTERRUPTED = """
import json, sys
from pathlib import Path
from runner_cli import interrupt
from runner_cli.embedded import EmbeddedPostgres
interrupt.install()
EmbeddedPostgres(Path(sys.argv[1]), json.loads(sys.argv[2])).start()
"""


def wait_for_end(pid: int) -> None:
    """Return when the process (nobody's child here) has ended; the kernel tells through a pidfd."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([handle], [], [], 20)
    os.close(handle)
    assert ended, f"process {pid} still runs"


def test_postgres_keeps_its_data_and_its_port(own_postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(own_postgres.url) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 1 AS n")
    url = own_postgres.url
    assert own_postgres.restart() == url
    assert own_postgres.restart(immediate=True) == url
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT n FROM kept").fetchone() == (1,)
        assert conn.execute("SHOW password_encryption").fetchone() == ("scram-sha-256",)
        assert conn.execute("SHOW fsync").fetchone() == ("on",)


def test_a_new_start_finds_the_data_of_the_last_one(home: Path) -> None:
    first = EmbeddedPostgres(home)
    with psycopg.connect(first.start()) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 1 AS n")
    first.stop()
    second = EmbeddedPostgres(home)
    try:
        with psycopg.connect(second.start()) as conn:
            assert conn.execute("SELECT n FROM kept").fetchone() == (1,)
    finally:
        second.stop()
    assert second.pid is None


def test_postgres_wants_its_password(own_postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(own_postgres.url.replace(own_postgres.password, "wrong"))


def test_a_stale_pid_file_does_not_stop_the_next_start(home: Path) -> None:
    """Another process of the same user has the pid by now: PostgreSQL alone would refuse to start."""
    postgres = EmbeddedPostgres(home)
    postgres.start()
    pid_file = home / "postgres/data/postmaster.pid"
    left = pid_file.read_text().split("\n")
    postgres.stop(immediate=True)
    user = binaries.server_user()
    stranger = subprocess.Popen(["sleep", "60"], **(user.popen if user else {}))  # noqa: S607
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *left[1:]]))
        postgres.start()
        assert stranger.poll() is None
    finally:
        postgres.stop()
        end(stranger)


def test_nothing_outlives_a_killed_parent(home: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANING_PARENT, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    again = EmbeddedPostgres(home)
    again.start()  # at once: it waits for the other to end by itself
    again.stop()
    for pid in pids:
        wait_for_end(pid)


@pytest.mark.parametrize("children_of_start", [1, 2], ids=["not_ready", "createdb"])
def test_an_interrupted_start_ends_the_server(home: Path, children_of_start: int) -> None:
    """The start is held where it is interrupted: by a recovery whose command does not end, so that the server does not
    get ready, or by the lock of a prepared transaction, for which createdb waits."""
    settings = {"restore_command": "sleep 60", "max_prepared_transactions": "1"}
    postgres = EmbeddedPostgres(home, settings)
    with psycopg.connect(at_database(postgres.start(), "postgres"), autocommit=True) as conn:
        conn.execute("DROP DATABASE beacon")
        conn.execute("BEGIN")
        conn.execute("LOCK TABLE pg_database IN SHARE MODE")
        conn.execute("PREPARE TRANSACTION 'held'")
    postgres.stop()
    (home / "postgres/database").unlink()
    if children_of_start == 1:
        data, begin = home / "postgres/data", home / "postgres/data/recovery.signal"
        begin.touch()
        os.chown(begin, data.stat().st_uid, data.stat().st_gid)
    command = [sys.executable, "-c", INTERRUPTED, str(home), json.dumps(settings)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2]) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        until(lambda: len(children.read_text().split()) == children_of_start)
        handle = os.pidfd_open(int(children.read_text().split()[0]))
        parent.send_signal(signal.SIGTERM)
    assert select.select([handle], [], [], 0)[0] == [handle]
    os.close(handle)


def test_valkey_keeps_what_was_acknowledged(own_valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(own_valkey.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.set("kept", 1)
        url = own_valkey.url
        assert own_valkey.restart() == url
        assert client.get("kept") == b"1"


def test_valkey_starts_from_an_older_append_only_file(own_valkey: EmbeddedValkey, tmp_path: Path) -> None:
    import shutil

    with redis.Redis.from_url(own_valkey.url) as client:
        client.set("old", 1)
        own_valkey.stop()
        shutil.copytree(own_valkey.appended, tmp_path / "copy")
        own_valkey.start()
        client.set("new", 1)
        own_valkey.kill()
        own_valkey.start(appended=tmp_path / "copy")
        assert client.keys() == [b"old"]
        own_valkey.kill()
        shutil.rmtree(own_valkey.appended)
        own_valkey.start()
        assert client.keys() == []


def test_no_password_in_any_command_line(own_valkey: EmbeddedValkey, own_postgres: EmbeddedPostgres) -> None:
    for pid in (own_valkey.pid, own_postgres.pid):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert own_postgres.password.encode() not in words
        assert own_valkey.url.split("@")[0].rpartition(":")[2].encode() not in words


def test_servers_do_not_run_as_root(own_valkey: EmbeddedValkey, own_postgres: EmbeddedPostgres) -> None:
    for pid in (own_valkey.pid, own_postgres.pid):
        assert Path(f"/proc/{pid}").stat().st_uid != 0


def test_a_failed_start_says_why(home: Path) -> None:
    postgres = EmbeddedPostgres(home, {"shared_buffers": "nonsense"})
    with pytest.raises(Exception, match="nonsense"):
        postgres.start()
    assert postgres.pid is None


def test_two_starts_at_once_do_not_meet(make_home: Callable[[], Path]) -> None:
    """Children are bound to the thread that started them, so each thread stays until its server is stopped."""
    urls: list[str] = []

    def run() -> None:
        valkey = EmbeddedValkey(make_home())
        urls.append(valkey.start())
        valkey.stop()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(urls)) == 4


def test_without_wheel_or_system_programs_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "wheel_folder", lambda package: None)
    monkeypatch.setattr(binaries, "OLDEST_POSTGRES", 10**6)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EmbeddedError, match="set DATABASE_URL"):
        binaries.postgres_programs(None)
    with pytest.raises(EmbeddedError, match="set REDIS_URL"):
        binaries.valkey_program(None)


def test_programs_below_a_closed_folder_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "ROOT_CACHE", tmp_path / "cache")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "server").write_text("#!/bin/sh\n")
    stranger = ServerUser("nobody", 65534, 65534)
    copy = binaries.reachable(closed, "redis", ["server"], stranger)
    assert copy.parent == tmp_path / "cache"
    assert (copy / "server").read_text() == "#!/bin/sh\n"
    assert copy.stat().st_mode & 0o777 == 0o755
    assert binaries.reachable(closed, "redis", ["server"], stranger) == copy
    assert binaries.reachable(closed, "redis", ["server"], None) == closed
