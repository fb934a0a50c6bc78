"""What a Redis server refuses, caused on a real one: whose fault it is, and when its connections are given up."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import REGISTRY
from redis.exceptions import RedisError

from runner_cli.embedded import EmbeddedValkey
from runner_queue.broker import Broker
from runner_queue.connection import open_client, text_of
from runner_queue.guard import Guard
from runner_queue.inspection import PUBLISHER_COMMANDS, WORKER_COMMANDS
from runner_queue.raw_connection import RawConnection
from runner_queue.refusals import HUNG_UP, REFUSALS, refusal_of
from runner_queue.stack_marker import KEY
from runner_worker.rq.worker import connect
from tests.integration.test_broker import row, settings_for
from tests.jobs import until
from tests.proxy import Proxy

CAUSED = {"hung up"}  # by test_broker.py's kills and restarts


class Failover:
    """Two servers with one password, and an address that leads to the first."""

    def __init__(self, old: EmbeddedValkey, new: EmbeddedValkey, proxy: Proxy) -> None:
        self.old, self.new, self.proxy = redis.Redis.from_url(old.url), redis.Redis.from_url(new.url), proxy
        self._to = new.host, new.port
        self.url = old.url.replace(f":{old.port}/", f":{proxy.port}/")
        self.new.config_set("requirepass", old.url.split(":")[2].split("@")[0])

    def happen(self) -> None:
        """The old server lives on as a replica, of nobody who is there; connections to come reach the new one."""
        self.proxy.lead_to(*self._to)
        self.old.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]


@pytest.fixture
def start(make_home: Callable[[], Path]) -> Iterator[Callable[..., EmbeddedValkey]]:
    started = []

    def make(**settings: str) -> EmbeddedValkey:
        home = make_home()
        started.append(EmbeddedValkey(home, {name.replace("_", "-"): value for name, value in settings.items()}))
        started[-1].start()
        return started[-1]

    yield make
    for valkey in started:
        valkey.stop()


@pytest.fixture
def failover(start: Callable[..., EmbeddedValkey]) -> Iterator[Failover]:
    old, new = start(), start()
    with Proxy(old.host, old.port) as proxy:
        yield Failover(old, new, proxy)


def refused(ask: Callable[[], object], word: str) -> bool:
    """Whether `ask` is refused with this word, or with one of no row where it is empty; False once it succeeds."""
    try:
        ask()
    except RedisError as error:
        text = text_of(error).removeprefix("Redis takes no messages: ")
        assert refusal_of(text).word == word, text
        CAUSED.update(filter(None, [word]))
        return True
    return False


def test_a_publisher_leaves_a_server_that_became_a_replica(failover: Failover) -> None:
    """Its line and its pool both follow the address after one refusal each."""
    broker = Broker(settings_for(failover.url))
    assert broker.push([row(1)]) == {}
    broker.sentinel_changed()
    failover.happen()
    assert refused(lambda: broker.push([row(2)]), "READONLY")
    assert broker.push([row(3)]) == {}
    assert refused(broker.sentinel_changed, "READONLY")
    assert broker.sentinel_changed()
    assert failover.new.llen("rq:queue:beacon-us") == 1
    broker.close()


def test_a_worker_leaves_a_server_that_became_a_replica_while_it_waited_for_a_message(failover: Failover) -> None:
    client = connect(failover.url, 1.0)
    connection = RawConnection(client)
    client.set("before", 1)
    answers: list[Any] = []
    command = ("BLMOVE", "a", "b", "LEFT", "RIGHT", 20)
    waiting = threading.Thread(target=lambda: answers.extend(connection.execute(command)))
    waiting.start()
    until(lambda: any("b" in c["flags"] for c in failover.old.client_list()))  # type: ignore[no-untyped-call]
    failover.happen()
    waiting.join()
    assert refusal_of(text_of(answers[0])).word == "UNBLOCKED"
    CAUSED.add("UNBLOCKED")
    assert connection.execute(("SET", "after", "1")) == [b"OK"]
    assert refused(lambda: client.set("after", 2), "READONLY")
    assert client.set("after", 2)
    assert failover.new.get("after") == b"2"
    connection.close()
    client.close()


def test_a_replica_without_its_primary_is_left(failover: Failover) -> None:
    broker = Broker(settings_for(failover.url))
    assert broker.queued_ids("beacon-us") == set()
    failover.old.config_set("replica-serve-stale-data", "no")
    failover.happen()
    assert refused(lambda: broker.queued_ids("beacon-us"), "MASTERDOWN")
    assert broker.queued_ids("beacon-us") == set()
    broker.close()


@pytest.mark.parametrize(("owns", "key"), [(True, "renewed"), (True, "set"), (False, "looked at")])
def test_a_guard_leaves_a_server_that_became_a_replica(
    failover: Failover, monkeypatch: pytest.MonkeyPatch, owns: bool, key: str
) -> None:
    """A publisher keeps its key on the new server; nobody calls the old one unfit for longer than one look."""
    monkeypatch.setattr("runner_queue.guard.LOOK_SECONDS", 0.1)
    if not owns:  # its questions are refused nowhere: only the inspection finds the replica
        monkeypatch.setattr("runner_queue.guard.INSPECT_SECONDS", 0.1)
    redis = open_client(failover.url, answer_seconds=1, connect_seconds=1)
    guard = Guard(redis, "1/1/public mine", PUBLISHER_COMMANDS if owns else WORKER_COMMANDS, owns=owns)
    guard.admit(0)
    if key == "set":
        failover.old.delete(KEY)
    failover.new.set(KEY, "1/2/public other")
    failover.happen()
    until(guard.look)
    failover.new.delete(KEY)
    until(lambda: not guard.look() and failover.new.get(KEY) == (b"1/1/public mine" if owns else None))
    assert failover.new.info("clients")["connected_clients"] > 1, "the guard is connected to it"
    assert REGISTRY.get_sample_value("redis_unfit", {"reason": "replica"}) == 0
    redis.close()


def test_a_server_that_reads_its_data_is_called_anew(start: Callable[..., EmbeddedValkey]) -> None:
    valkey = start(enable_debug_command="yes", key_load_delay="20000", loading_process_events_interval_bytes="1024")
    broker = Broker(settings_for(valkey.url))
    assert broker.push([row(1)]) == {}
    for number in range(100):
        broker.redis.set(f"key-{number}", "x" * 1024)
    loader = redis.Redis.from_url(valkey.url)
    loading = threading.Thread(target=loader.execute_command, args=("DEBUG", "RELOAD"))
    loading.start()
    until(lambda: refused(lambda: broker.push([row(2)]), "LOADING"))
    until(lambda: not refused(lambda: broker.push([row(3)]), "LOADING"))
    loading.join()
    broker.close()


def test_a_server_that_cannot_save_is_left_after_a_while(
    make_home: Callable[[], Path], start: Callable[..., EmbeddedValkey]
) -> None:
    """It may have room again soon; when it has not, its address may lead elsewhere by now."""
    valkey = start(save="3600 1", dbfilename="folder")
    (valkey.folder / "folder").mkdir()
    admin = redis.Redis.from_url(valkey.url)
    with Proxy(valkey.host, valkey.port) as proxy:
        broker = Broker(settings_for(valkey.url.replace(f":{valkey.port}/", f":{proxy.port}/")))
        assert broker.push([row(1)]) == {}
        admin.bgsave()
        until(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
        calls = proxy.connections
        assert [refused(partial(broker.push, [row(number)]), "MISCONF") for number in range(10)] == [True] * 10
        assert proxy.connections == calls, "not at once"

        def left() -> bool:
            assert refused(lambda: broker.push([row(1)]), "MISCONF")
            return proxy.connections > calls

        until(left, 30)
        broker.close()
    admin.config_set("save", "")  # else it would not end: it can't save


def test_a_publisher_starts_while_its_server_cannot_save(
    make_home: Callable[[], Path], start: Callable[..., EmbeddedValkey]
) -> None:
    """Its key is there, from a publisher before it or beside it, and is renewed when the server can save again."""
    valkey = start(save="3600 1", dbfilename="folder")
    (valkey.folder / "folder").mkdir()
    admin = redis.Redis.from_url(valkey.url)
    admin.set(KEY, "1/1/public mine", ex=30)
    admin.bgsave()
    until(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
    assert refused(partial(admin.set, "any", "1"), "MISCONF")
    client = open_client(valkey.url, answer_seconds=1, connect_seconds=1)
    guard = Guard(client, "1/1/public mine", PUBLISHER_COMMANDS, owns=True)
    guard.admit(0)
    assert (guard.foreign, admin.ttl(KEY) <= 30) == ("", True)
    admin.config_set("save", "")
    until(lambda: guard.look() == "" and admin.ttl(KEY) > 30, 20)


def test_a_server_that_runs_a_long_script_keeps_no_process_from_its_start(
    start: Callable[..., EmbeddedValkey], caplog: pytest.LogCaptureFixture
) -> None:
    valkey = start(busy_reply_threshold="1")
    admin = redis.Redis.from_url(valkey.url)
    script = threading.Thread(target=refused, args=(lambda: admin.eval("while true do end", 0), ""))
    script.start()
    asked = redis.Redis.from_url(valkey.url)
    until(lambda: refused(partial(asked.get, "any"), ""))
    for owns in (True, False):
        Guard(asked, "1/1/public mine", PUBLISHER_COMMANDS, owns=owns).admit(0)
    assert caplog.text.count("can't read the stack marker in Redis, trying again") == 2
    asked.script_kill()
    script.join()


def test_a_key_that_holds_something_else_keeps_no_publisher_from_its_start(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.rpush(KEY, "no text")
        guard = Guard(client, "1/1/public mine", PUBLISHER_COMMANDS, owns=True)
        guard.admit(0)
        client.delete(KEY)
        until(lambda: guard.look() == "" and client.get(KEY) == b"1/1/public mine", 20)


def test_a_full_server_and_a_login_without_a_right_keep_their_connection(
    start: Callable[..., EmbeddedValkey],
) -> None:
    valkey = start()
    admin = redis.Redis.from_url(valkey.url)
    admin.execute_command("ACL", "SETUSER", "few", "on", ">few", "~*", "&*", "+@all", "-eval")  # type: ignore[no-untyped-call]
    few = f"redis://few:few@{valkey.host}:{valkey.port}/0"
    for url, word in ((few, "NOPERM"), (valkey.url, "OOM")):
        with Proxy(valkey.host, valkey.port) as proxy:
            broker = Broker(settings_for(url.replace(f":{valkey.port}/", f":{proxy.port}/")))
            broker.push([])
            if word == "OOM":
                broker.push([row(1)])
                admin.config_set("maxmemory", "1")
            assert [refused(partial(broker.push, [row(number)]), word) for number in range(3)] == [True] * 3
            assert proxy.connections == 1
            broker.close()


def test_a_key_that_holds_something_else_is_its_messages_own_fault(redis_url: str) -> None:
    broker = Broker(settings_for(redis_url))
    broker.redis.set("rq:queue:beacon-us", "no list")
    failures = broker.push([row(1), row(2, topic="beacon-eu")])
    assert {number: refusal_of(str(error)).word for number, error in failures.items()} == {1: "WRONGTYPE"}
    CAUSED.add("WRONGTYPE")
    broker.close()


def test_every_row_was_caused() -> None:
    """The last of this file: each word above came from a server."""
    assert {refusal.word for refusal in REFUSALS} == CAUSED
    assert HUNG_UP.hang_up_after == 0
