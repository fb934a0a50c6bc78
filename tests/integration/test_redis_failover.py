"""Redis behind Sentinels, whose primary dies, freezes or is demoted, and Redis that speaks TLS."""

import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from runner_cli.check_redis import check_redis
from runner_cli.child import end, free_port, spawn
from runner_cli.embedded import EmbeddedValkey
from runner_core.errors import ConfigError
from runner_core.settings import Settings
from runner_queue import connection
from runner_queue.broker import Broker
from runner_queue.connection import open_client
from runner_queue.guard import Guard
from runner_queue.inspection import WORKER_COMMANDS
from runner_queue.raw_connection import RawConnection
from tests.certificates import authority
from tests.jobs import settings_for, until
from tests.pooler import system_programs
from tests.sentinels import Watched, watched

DOWN_AFTER_MS = 1000


@pytest.fixture
def sentinels(servers: object, make_home: Callable[[], Path]) -> Iterator[Watched]:
    with watched(make_home, DOWN_AFTER_MS) as found:
        yield found


def told(url: str) -> dict[str, str]:
    """Return doctor's errors about Redis."""
    return {f.subject: f.text for f in check_redis(Settings.from_env({"REDIS_URL": url})) if f.level == "error"}


def kill(server: EmbeddedValkey) -> None:
    server.kill()


def freeze(server: EmbeddedValkey) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)


@pytest.mark.parametrize("strike", [kill, freeze])
def test_connections_follow_the_primary_that_sentinels_name(
    sentinels: Watched, strike: Callable[[EmbeddedValkey], None]
) -> None:
    """A client's pool, and a connection for one thread. Each was open when the primary failed."""
    first, second = sentinels.servers
    assert told(sentinels.url) == {}
    with open_client(sentinels.url, answer_seconds=1, connect_seconds=1) as client:
        held = RawConnection(client)
        client.set("seen", "before")
        assert held.execute(("GET", "seen")) == [b"before"]
        with redis.Redis.from_url(second.url) as replica:
            until(lambda: replica.get("seen"))
        strike(first)
        until(lambda: _does(lambda: held.execute(("SET", "seen", "after"))))
        until(lambda: _does(lambda: client.set("seen", "after")))
        with redis.Redis.from_url(second.url) as promoted:
            assert promoted.get("seen") == b"after"
        assert sentinels.primary() is second
        held.close()
    assert told(sentinels.url) == {}


def test_a_demoted_primary_is_left_for_the_one_that_sentinels_name(sentinels: Watched) -> None:
    with open_client(sentinels.url, answer_seconds=1, connect_seconds=1) as client:
        held = RawConnection(client)
        held.execute(("SET", "seen", "before"))
        with redis.Redis(port=sentinels.ports[0], password=sentinels.own_password) as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", "mymaster")
        with redis.Redis.from_url(sentinels.servers[1].url) as promoted:
            until(lambda: _does(lambda: held.execute(("SET", "seen", "after"))) and promoted.get("seen") == b"after")
        assert sentinels.primary() is sentinels.servers[1]
        held.close()


def test_an_old_primary_that_refuses_nothing_is_left_for_the_one_that_sentinels_name(
    sentinels: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the Sentinels could not reach it: it is still a primary, and every connection to it works."""
    monkeypatch.setattr(connection, "ASK_SECONDS", 0.0)
    first, second = sentinels.servers
    with open_client(sentinels.url, answer_seconds=5, connect_seconds=5) as client:
        held = RawConnection(client)
        assert held.execute(("SET", "seen", "before")) == [b"OK"]
        assert client.set("pool", "before")
        with redis.Redis.from_url(second.url) as promoted:
            sentinels.move_to(second)
            until(lambda: _does(lambda: held.execute(("SET", "seen", "after"))) and promoted.get("seen") == b"after")
            until(lambda: _does(lambda: client.set("pool", "after")) and promoted.get("pool") == b"after")
        with redis.Redis.from_url(first.url) as old:
            assert old.role()[0] == b"master"
        held.close()


def test_a_connection_stays_while_no_sentinel_answers(sentinels: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ASK_SECONDS", 0.0)
    with open_client(sentinels.url, answer_seconds=5, connect_seconds=5) as client:
        held = RawConnection(client)
        held.execute(("SET", "seen", "before"))
        sentinels.forget()
        assert held.execute(("GET", "seen")) == [b"before"]
        held.close()


def test_silent_sentinels_cost_a_second_each_and_not_the_time_limit_of_redis(sentinels: Watched) -> None:
    with ExitStack() as stop:
        silent = [stop.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        hosts = "".join(f"127.0.0.1:{one.getsockname()[1]}," for one in silent)
        before, at, rest = sentinels.url.rpartition("@")
        client = stop.enter_context(open_client(before + at + hosts + rest, answer_seconds=300, connect_seconds=300))
        answered = threading.Event()
        asking = threading.Thread(target=lambda: client.ping() and answered.set(), daemon=True)
        asking.start()
        until(answered.is_set)
        asking.join()


@pytest.mark.parametrize("login", ["sentinel_password=wrong", ""])
def test_a_process_does_not_start_with_a_login_that_sentinels_refuse(sentinels: Watched, login: str) -> None:
    url = sentinels.url.replace(f"sentinel_password={sentinels.own_password}", login)
    with open_client(url, answer_seconds=5, connect_seconds=5) as client:
        guard = Guard(client, "1/1/public mine", WORKER_COMMANDS, owns=False)
        with pytest.raises(ConfigError, match="a Sentinel of REDIS_URL refuses"):
            guard.admit(0)


def test_without_a_sentinel_that_answers_there_is_no_connection(sentinels: Watched) -> None:
    url = f"redis+sentinel://:x@127.0.0.1:{free_port()}/mymaster/0"
    assert "no Sentinel names a primary" in told(url)["redis"]
    wrong = sentinels.url.replace("/mymaster/", "/another/")
    assert "no Sentinel names a primary" in told(wrong)["redis"]


def _does(act: Callable[[], Any]) -> bool:
    """Return whether Redis does what `act` asks."""
    try:
        answer = act()
    except redis.RedisError:
        return False
    return not (isinstance(answer, list) and isinstance(answer[0], redis.RedisError))


# -- TLS --


@pytest.fixture
def tls(servers: object, make_home: Callable[[], Path]) -> Iterator[tuple[int, str, Path]]:
    """Debian's Redis 7 with TLS, which wants a client's certificate: port, password, and the authority's folder."""
    files = authority(make_home() / "certificates", "server", "client")
    for path in (files, *files.iterdir()):
        path.chmod(0o755)
    port = free_port()
    settings = {
        "tls-port": str(port),
        "tls-ca-cert-file": str(files / "ca.pem"),
        "tls-cert-file": str(files / "server.pem"),
        "tls-key-file": str(files / "server.key"),
        "tls-auth-clients": "yes",
    }
    with system_programs():
        server = EmbeddedValkey(make_home(), settings, "tls-password")
        server.start()
    yield port, "tls-password", files
    server.stop()


@pytest.mark.needs("redis-server")
def test_tls_with_an_authority_of_ones_own_and_a_clients_certificate(
    tls: tuple[int, str, Path], tmp_path: Path
) -> None:
    port, password, files = tls
    base = f"rediss://:{password}@127.0.0.1:{port}/0?ssl_ca_certs="
    client = f"&ssl_certfile={files}/client.pem&ssl_keyfile={files}/client.key"
    url = f"{base}{files}/ca.pem{client}"
    assert told(url) == {}
    broker = Broker(settings_for("postgresql://u@127.0.0.1:1/none", url))
    assert broker.queued_ids("beacon-us") == set()
    broker.close()
    other = authority(tmp_path / "other")
    assert "does not accept the other's certificate" in told(f"{base}{other}/ca.pem{client}")["redis"]
    assert "it does not answer" in told(f"{base}{files}/ca.pem")["redis"], "no certificate of the client's own"


@pytest.mark.needs("redis-server")
def test_sentinels_that_speak_tls(tls: tuple[int, str, Path], make_home: Callable[[], Path]) -> None:
    """One Sentinel, which names the TLS port of the server."""
    port, password, files = tls
    own = free_port()
    configuration = make_home() / "sentinel.conf"
    lines = ["port 0", f"tls-port {own}", "tls-replication yes", "tls-auth-clients yes", "requirepass own"]
    for name, file in (("ca-cert", "ca.pem"), ("cert", "server.pem"), ("key", "server.key")):
        lines.append(f"tls-{name}-file {files / file}")
    lines += [f"sentinel monitor mymaster 127.0.0.1 {port} 1", f"sentinel auth-pass mymaster {password}"]
    configuration.write_text("\n".join(lines) + "\n")
    program = shutil.which("redis-server")
    options = f"ssl_ca_certs={files}/ca.pem&ssl_certfile={files}/client.pem&ssl_keyfile={files}/client.key"
    url = f"rediss+sentinel://:{password}@127.0.0.1:{own}/mymaster?{options}&sentinel_password=own"
    with configuration.with_suffix(".log").open("ab") as log:
        process = spawn([str(program), str(configuration), "--sentinel"], death_signal=signal.SIGKILL, stdout=log)
    try:
        with open_client(url, answer_seconds=2, connect_seconds=2) as client:
            until(lambda: _does(client.ping))
            client.set("seen", "x")
    finally:
        end(process)
