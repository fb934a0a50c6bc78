"""The publisher ends within its grace, whatever its threads are waiting for."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from runner_worker.engine.leases import claim
from tests.jobs import one, opened, settings_for, submit_many, until
from tests.proxy import Proxy

Conn = psycopg.Connection[Any]
Start = Callable[[], "subprocess.Popen[str]"]
GRACE_SECONDS = 4
# Less than the eight seconds of a wait, which is begun again after that. The stack kills two seconds after the grace,
# which a slow machine may need for itself.
PATIENCE_SECONDS = GRACE_SECONDS + 3.5
WAIT = """
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock(99); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER wait BEFORE {} FOR EACH ROW {} EXECUTE FUNCTION wait()
"""
WAITS = {
    "sweeper": WAIT.format("INSERT ON job_events", "WHEN (NEW.type = 'lease_expired')"),
    "retention": WAIT.format("DELETE ON nonces", ""),
}
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    where = psycopg.conninfo.conninfo_to_dict(database_url)
    with Proxy(str(where["host"]), int(where["port"])) as made:
        yield made


@pytest.fixture
def start(database_url: str, redis_url: str, proxy: Proxy) -> Iterator[Start]:
    """Starts a publisher that reaches its database through the proxy."""
    host, _, name = database_url.rpartition("@")[2].partition("/")
    own = {
        "DATABASE_URL": database_url.replace(f"@{host}/{name}", f"@127.0.0.1:{proxy.port}/{name}"),
        "REDIS_URL": redis_url,
        "STOP_GRACE_SECONDS": str(GRACE_SECONDS),
        "DB_WRITE_TIMEOUT_MS": "8000",
        "BEACON_TEST": "1",
    }
    command, processes = [sys.executable, "-m", "outbox_publisher"], []

    def make() -> "subprocess.Popen[str]":
        env = os.environ | own
        made = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        processes.append(made)
        return made

    yield make
    for process in processes:
        process.kill()
        process.communicate()


def stop(process: "subprocess.Popen[str]") -> str:
    """Send SIGTERM; what the process said when it has ended, in time and with success."""
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    output = process.communicate(timeout=60)[0]
    assert time.monotonic() - began < PATIENCE_SECONDS, output
    assert process.returncode == 0, output
    return output


@pytest.mark.parametrize("is_cut_off", [False, True], ids=["reachable", "cut off"])
@pytest.mark.parametrize("work", WAITS)
def test_a_signal_ends_a_publisher_within_its_grace_while_a_statement_waits(
    database_url: str, conn: Conn, start: Start, proxy: Proxy, work: str, is_cut_off: bool
) -> None:
    with opened(settings_for(database_url)) as db:
        jobs = submit_many(db, 3, regions=("US",))
        claim(db, [(job_id, "US") for job_id in jobs], "dead")
    conn.execute(b"UPDATE region_runs SET lease_expires_at = 'epoch'")
    conn.execute(b"INSERT INTO nonces (public_key, nonce, job_id, created_at) SELECT 'k', id, id, 'epoch' FROM jobs")
    conn.execute(WAITS[work].encode())
    with psycopg.connect(database_url) as other:
        other.execute(b"SELECT pg_advisory_xact_lock(99)")
        process = start()
        until(lambda: one(conn, WAITING))
        if is_cut_off:
            proxy.black_hole()
        output = stop(process)
        proxy.heal()
    assert re.search(f"is rolled back: .*{work}", output), output
    if not is_cut_off:
        assert one(conn, "SELECT count(*) FROM processes WHERE kind = 'publisher'") == 0, "it has signed off"
