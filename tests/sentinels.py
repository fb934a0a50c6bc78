"""Three Sentinels that watch a Valkey and its replica: servers of their own, on loopback."""

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import redis

from runner_cli.binaries import make_folder, server_user, valkey_program
from runner_cli.child import end, free_port, spawn, start_until_ready
from runner_cli.embedded import ENVIRONMENT, EmbeddedValkey
from tests.jobs import until

NAME = "mymaster"
READY_SECONDS = 60.0  # a Sentinel asks a new primary for its replicas every ten seconds
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {own}
sentinel sentinel-pass {own}
sentinel monitor {name} 127.0.0.1 {primary} 2
sentinel auth-pass {name} {password}
sentinel down-after-milliseconds {name} {down_after_ms}
sentinel failover-timeout {name} 10000
"""


@dataclass
class Watched:
    """`servers`: the primary at the start, and its replica. `url`: REDIS_URL, with three Sentinels."""

    servers: tuple[EmbeddedValkey, EmbeddedValkey]
    ports: list[int]
    url: str
    own_password: str  # the Sentinels'

    def primary(self) -> EmbeddedValkey:
        """Return the primary that the Sentinels name. Raises redis.RedisError if none of them answers."""
        with redis.Redis(port=self.ports[0], password=self.own_password, socket_timeout=5) as sentinel:
            _, port = sentinel.sentinel_get_master_addr_by_name(NAME)
        return next(server for server in self.servers if server.port == port)

    def forget(self) -> None:
        """Let the Sentinels name no primary."""
        for port in self.ports:
            with redis.Redis(port=port, password=self.own_password, socket_timeout=5) as sentinel:
                sentinel.sentinel_remove(NAME)

    def move_to(self, server: EmbeddedValkey) -> None:
        """Make `server` a primary and let the Sentinels name it. The old primary is not told, and stays one."""
        self.forget()
        with redis.Redis.from_url(server.url) as promoted:
            promoted.replicaof("NO", "ONE")
        for port in self.ports:
            with redis.Redis(port=port, password=self.own_password, socket_timeout=5) as sentinel:
                sentinel.sentinel_monitor(NAME, "127.0.0.1", server.port, 2)
                sentinel.sentinel_set(NAME, "auth-pass", urlsplit(server.url).password)

    def is_ready(self) -> bool:
        """Return whether each Sentinel knows the replica and the other Sentinels, so that a failover can succeed."""
        for port in self.ports:
            with redis.Redis(port=port, password=self.own_password, socket_timeout=5) as sentinel:
                known = sentinel.sentinel_masters()[NAME]
                if (known["num-slaves"], known["num-other-sentinels"], known["is_disconnected"]) != (1, 2, False):
                    return False
                if any(replica["is_disconnected"] or replica["is_sdown"] for replica in sentinel.sentinel_slaves(NAME)):
                    return False
        return True


@contextmanager
def watched(make_home: Callable[[], Path], down_after_ms: int) -> Iterator[Watched]:
    """Start primary, replica and Sentinels; wait until the Sentinels could fail over. `make_home` makes a folder."""
    password, own = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
    with ExitStack() as stop:
        first = EmbeddedValkey(make_home(), {"masterauth": password}, password)
        stop.callback(first.kill)
        first.start()
        replica = {"masterauth": password, "replicaof": f"127.0.0.1 {first.port}"}
        second = EmbeddedValkey(make_home(), replica, password)
        stop.callback(second.kill)
        second.start()
        values = {
            "own": own,
            "name": NAME,
            "primary": first.port,
            "password": password,
            "down_after_ms": down_after_ms,
        }
        ports = [stop.enter_context(_sentinel(make_home(), own, values)) for _ in range(3)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        url = f"redis+sentinel://:{password}@{hosts}/{NAME}/0?sentinel_password={own}"
        found = Watched((first, second), ports, url, own)
        until(found.is_ready, READY_SECONDS)
        yield found


@contextmanager
def _sentinel(home: Path, own: str, values: dict[str, object]) -> Iterator[int]:
    """Run a Sentinel; its port. It keeps what it learns in its configuration file."""
    user = server_user()
    folder, port = make_folder(home / "sentinel", user), free_port()
    configuration, log = folder / "sentinel.conf", folder / "server.log"
    configuration.write_text(CONFIGURATION.format(port=port, **values))
    if user:
        os.chown(configuration, user.uid, user.gid)

    def launch() -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return spawn(
                [str(valkey_program(user)), str(configuration), "--sentinel"],
                death_signal=signal.SIGKILL,
                env=ENVIRONMENT,
                cwd=folder,
                stdout=output,
                stderr=output,
                **(user.popen if user else {}),
            )

    def answers(_: "subprocess.Popen[bytes]") -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis(port=port, password=own, socket_timeout=2) as client:
            return bool(client.ping())
        return False

    process = start_until_ready("Sentinel", launch, answers, log)
    try:
        yield port
    finally:
        end(process)
