"""A Redis that this system can't work with is refused at the start, in the words of `beacon doctor`."""

import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from prometheus_client import REGISTRY
from redis.exceptions import ResponseError

from runner_cli.check_redis import check_redis
from runner_cli.embedded import EmbeddedValkey
from runner_core.settings import Settings
from runner_queue import inspection
from runner_queue.broker import Broker
from runner_queue.guard import Guard
from tests.cells import CELL
from tests.jobs import one, opened, settings_for, submission, submit, until

ROOT = Path(__file__).parents[2]
PROCESSES = (("outbox_publisher",), ("runner_worker", "--region", "US"))
NAMES = sorted({*inspection.PUBLISHER_COMMANDS, *inspection.WORKER_COMMANDS, *inspection.ALWAYS})
ALL_OF_THEM = ("~rq:*", "~beacon:*", "&rq:*", *(f"+{name.lower()}" for name in NAMES))
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(database_url: str) -> Iterator[Start]:
    """Starts `python -m` with this database."""
    made: list[subprocess.Popen[str]] = []

    def process(*command: str, **env: str) -> "subprocess.Popen[str]":
        base = {"DATABASE_URL": database_url, "REGIONS_FILE": str(ROOT / "regions/sandbox.toml"), "ALLOW_SANDBOX": "1"}
        more = {"BEACON_TEST": "1", "PROBE_SECONDS": "5", "LEASE_SECONDS": "1", "HEARTBEAT_SECONDS": "0.3"}
        made.append(
            subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**os.environ, **base, **more, **env},
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


def login(valkey: EmbeddedValkey, *rules: str) -> str:
    """The URL of a login with these rights."""
    with redis.Redis.from_url(valkey.url) as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">app-password", *rules)
    return f"redis://app:app-password@127.0.0.1:{valkey.port}/0"


def asked(url: str) -> dict[str, str]:
    """What doctor says is wrong with the server."""
    return {f.text: f.subject for f in check_redis(Settings.from_env({"REDIS_URL": url})) if f.level == "error"}


def refused(start: Start, url: str, says: str) -> None:
    """Both processes end at once with 2 and doctor's sentence."""
    processes = [start(*command, REDIS_URL=url) for command in PROCESSES]
    for process in processes:
        said = process.communicate(timeout=60)[0]
        assert (process.returncode, says in said, "Traceback" in said) == (2, True, False), said
    (sentence,) = [text for text in asked(url) if says in text]
    assert sentence in said, "doctor and the processes say the same"


def test_a_cluster_is_refused(servers: object, home: Path, start: Start) -> None:
    valkey = EmbeddedValkey(home, {"cluster-enabled": "yes"})
    try:
        refused(start, valkey.start(), "is a Redis Cluster, which the queues can't use: give the address of a single")
    finally:
        valkey.stop()


def test_a_replica_is_refused(own_valkey: EmbeddedValkey, start: Start) -> None:
    with redis.Redis.from_url(own_valkey.url) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        refused(start, own_valkey.url, "is a replica, which takes no writes")
        assert client.keys("*") == [], "the look changes nothing"


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        (("~*", "&*", "+@all", "-@dangerous"), "INFO"),
        (("~rq:*", "&rq:*", "+@all"), "the keys rq:* and beacon:*"),
    ],
)
def test_a_login_without_what_is_needed_is_refused(
    own_valkey: EmbeddedValkey, start: Start, rules: tuple[str, ...], names: str
) -> None:
    refused(start, login(own_valkey, *rules), f"may not use {names}: allow it")


@pytest.mark.parametrize("name", NAMES)
def test_each_command_that_is_missing_is_named(own_valkey: EmbeddedValkey, name: str) -> None:
    with redis.Redis.from_url(login(own_valkey, *ALL_OF_THEM, f"-{name.lower()}")) as client:
        found = inspection.inspect(client, inspection.PUBLISHER_COMMANDS, inspection.WORKER_COMMANDS)
    denied = found.unfit.get("commands", "")
    assert (f"may not use {name}:" in denied) == (name != "EXEC"), "a transaction is opened and never executed"
    with redis.Redis.from_url(own_valkey.url) as client:
        assert client.keys("*") == []


def test_a_refusal_of_this_moment_is_not_taken_for_a_missing_right() -> None:
    """Redis 6.2 answers so to MULTI too, while a script runs."""

    class Busy(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                if line.startswith(b"*"):
                    self.wfile.write(b"-BUSY Redis is busy running a script.\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Busy) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever).start()
        port = server.server_address[1]
        try:
            with redis.Redis(port=port, protocol=2) as client, pytest.raises(ResponseError, match="busy"):
                inspection.inspect(client, inspection.PUBLISHER_COMMANDS)
            (finding,) = check_redis(Settings.from_env({"REDIS_URL": f"redis://127.0.0.1:{port}"}))
            assert (finding.level, "busy running a script" in finding.text) == ("error", True)
        finally:
            server.shutdown()


def test_a_channel_that_is_missing_is_named(own_valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(login(own_valkey, "~rq:*", "~beacon:*", "+@all")) as client:
        found = inspection.inspect(client, inspection.PUBLISHER_COMMANDS, inspection.WORKER_COMMANDS)
        assert "the channels rq:*" in found.unfit["commands"]
        assert inspection.inspect(client, inspection.PUBLISHER_COMMANDS).unfit == {}, (
            "a publisher subscribes to nothing"
        )


def test_the_commands_of_the_list_are_enough_also_for_recovery(
    own_valkey: EmbeddedValkey, start: Start, database_url: str, conn: "psycopg.Connection[Any]"
) -> None:
    """Jobs run, a worker leaves in order, and what an emptied Redis has lost is sent again."""
    url = login(own_valkey, *ALL_OF_THEM)
    with opened(settings_for(database_url, url)) as db, redis.Redis.from_url(own_valkey.url) as client:
        client.config_resetstat()
        start("outbox_publisher", REDIS_URL=url)
        first = start("runner_worker", "--region", "US", REDIS_URL=url)
        submit(db, submission("before", regions=("US",), models=("smollm2-135m",), questions=("math_basic",)))
        until(lambda: one(conn, "SELECT status FROM jobs WHERE id = 'before'") == "completed", 60)
        first.terminate()
        assert first.wait(30) == 0
        submit(db, submission("lost", regions=("US",), models=("smollm2-135m",), questions=("math_basic",)))
        until(lambda: client.llen(f"rq:queue:{CELL.queue('beacon-us')}"))
        client.flushall()
        start("runner_worker", "--region", "US", REDIS_URL=url)
        until(lambda: one(conn, "SELECT status FROM jobs WHERE id = 'lost'") == "completed", 60)
        denied = {entry["object"] for entry in client.acl_log()}
        assert denied <= {"client|setinfo"}, "redis-py tells its name, and goes on where it may not"


def test_an_emptied_redis_is_seen_by_a_login_that_lost_info(own_valkey: EmbeddedValkey) -> None:
    broker = Broker(Settings.from_env({"REDIS_URL": login(own_valkey, *ALL_OF_THEM), "REDIS_TIMEOUT_SECONDS": "1"}))
    broker.sentinel_changed()
    assert not broker.sentinel_changed()
    login(own_valkey, *ALL_OF_THEM, "-info")
    broker.redis.connection_pool.disconnect()
    assert broker.sentinel_changed(), "who may have missed a restart looks once more"
    assert not broker.sentinel_changed()
    with redis.Redis.from_url(own_valkey.url) as client:
        client.flushall()
    assert broker.sentinel_changed()


def test_a_right_that_is_lost_later_is_told_and_work_goes_on(
    own_valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("runner_queue.guard.INSPECT_SECONDS", 0.0)
    with redis.Redis.from_url(login(own_valkey, *ALL_OF_THEM)) as client:
        guard = Guard(client, "1/1/public mine", inspection.PUBLISHER_COMMANDS, owns=True)
        guard.admit(0)
        for rules, told in ((("-info",), 1), ((), 0)):
            login(own_valkey, *ALL_OF_THEM, *rules)
            assert guard.look() == ""
            assert REGISTRY.get_sample_value("redis_unfit", {"reason": "commands"}) == told
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1
    assert "may not use INFO" in said[0]


def test_the_documents_list_the_commands() -> None:
    assert " ".join(f"+{name.lower()}" for name in NAMES) in (ROOT / "docs/configuration.md").read_text()
    text = (ROOT / "docs/operation.md").read_text()
    stock = text[text.index("RQ's own worker can") : text.index("rq worker --serializer")]
    assert "does not check its Redis" in stock, "it has no guard"
