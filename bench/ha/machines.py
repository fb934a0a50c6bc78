"""Three machines with etcd, Patroni, PostgreSQL, Redis and Sentinel, and HAProxy before them, from the files of ops/ha.

Each machine is a loopback address of its own, so that every server keeps its usual port. Only the machines' names, the
password of Redis and the folder of PostgreSQL's socket are replaced in the files.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import redis

from runner_cli.binaries import make_folder, server_user
from runner_cli.child import end, spawn
from runner_cli.home import CHECKOUT
from tests.pooler import POSTGRES

FILES = CHECKOUT / "ops/ha"
NAMES = ("db1", "db2", "db3")
SEARCH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
START_SECONDS = 120.0
Programs = dict[str, "subprocess.Popen[bytes]"]


class NotReached(Exception):
    """A state that was waited for did not come."""


def until(look: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> float:
    """Wait until `look` returns True and does not raise OSError; return the Unix time. Raises NotReached."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, redis.RedisError):
            if look():
                return time.time()
        if time.monotonic() > deadline:
            raise NotReached(what)
        time.sleep(0.05)


class Cluster:
    """The three machines and HAProxy. `home` must be a folder that the servers' user can reach."""

    def __init__(self, home: Path) -> None:
        self._user = server_user()
        # Runs side by side have networks of their own.
        self._network = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 250}"
        self.password = secrets.token_hex(12)
        self._home = home
        self._running: dict[str, Programs] = {}
        self.proxy = f"{self._network}.4"

    @property
    def database_url(self) -> str:
        """Return the owner's URL, which leads through HAProxy."""
        return f"postgresql://postgres:{self.password}@{self.proxy}:5432/postgres?sslmode=disable"

    @property
    def redis_url(self) -> str:
        """Return the URL of Redis, which leads through HAProxy."""
        return f"redis://:{self.password}@{self.proxy}:6379/0"

    def address(self, name: str) -> str:
        """Return a machine's address."""
        return f"{self._network}.{NAMES.index(name) + 1}"

    # -- start and end --

    def start(self) -> None:
        """Start everything, and wait until a primary has two replicas, one of them synchronous."""
        for name in NAMES:
            self.start_machine(name)
        self._running["proxy"] = {"haproxy": self._start_haproxy()}
        until(self.is_whole, "the cluster did not become whole")
        until(lambda: self.redis_master() != "", "Redis has no master behind HAProxy")

    def start_machine(self, name: str) -> None:
        """Start a machine's programs that do not run."""
        running = self._running.setdefault(name, {})
        starts = {
            "etcd": self._start_etcd,
            "patroni": self._start_patroni,
            "redis": self._start_redis,
            "sentinel": self._start_sentinel,
        }
        for program, begin in starts.items():
            if program not in running:
                running[program] = begin(name)

    def kill(self, name: str, *programs: str) -> None:
        """SIGKILL these programs of a machine; all of them, and PostgreSQL, if none is named."""
        if not programs:
            self.kill_postgres(name)
        for program in programs or tuple(self._running[name]):
            process = self._running[name].pop(program)
            process.kill()
            process.wait()

    def kill_postgres(self, name: str) -> None:
        """SIGKILL a machine's PostgreSQL with its children, as far as they run."""
        with contextlib.suppress(OSError, ValueError):
            first = int((self._folder(name) / "postgresql/postmaster.pid").read_text().splitlines()[0])
            children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
            for pid in (first, *map(int, children)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End everything."""
        for name in [name for name in self._running if name != "proxy"]:
            if patroni := self._running[name].pop("patroni", None):
                end(patroni, (signal.SIGTERM, 10.0))
            self.kill_postgres(name)
        for programs in self._running.values():
            for process in programs.values():
                end(process, (signal.SIGTERM, 3.0))

    # -- what is so now --

    def members(self) -> dict[str, dict[str, Any]]:
        """Return the cluster's members as the first Patroni that answers tells them. Raises OSError if none does."""
        failure: OSError = OSError("no machine runs")
        for name in NAMES:
            try:
                with urllib.request.urlopen(f"http://{self.address(name)}:8008/cluster", timeout=2) as answer:
                    return {member["name"]: member for member in json.load(answer)["members"]}
            except OSError as error:
                failure = error
        raise failure

    def is_whole(self) -> bool:
        """Return whether a primary has two running replicas, one of them synchronous."""
        members = self.members()
        roles = sorted(member["role"] for member in members.values())
        return roles == ["leader", "replica", "sync_standby"] and all(
            member["state"] in ("running", "streaming") for member in members.values()
        )

    def primary(self) -> str:
        """Return the name of the primary's machine, empty while there is none. Raises OSError if no machine answers."""
        return next((name for name, member in self.members().items() if member["role"] == "leader"), "")

    def redis_master(self) -> str:
        """Return the run_id of the master behind HAProxy."""
        with redis.Redis.from_url(self.redis_url, socket_timeout=1, socket_connect_timeout=1) as client:
            return str(client.info("server")["run_id"]) if client.info("replication")["role"] == "master" else ""

    def redis_master_machine(self) -> str:
        """Return the name of the master's machine, as the first Sentinel that answers says."""
        for name in NAMES:
            with contextlib.suppress(redis.RedisError), redis.Redis(self.address(name), 26379) as sentinel:
                address, _ = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "beacon")
                return next(name for name in NAMES if self.address(name) == address.decode())
        raise NotReached("no Sentinel answers")

    def redis_is_whole(self) -> bool:
        """Return whether the master has two replicas that are up to date."""
        master = self.redis_master_machine()
        with redis.Redis(self.address(master), 6379, password=self.password, socket_timeout=1) as client:
            told = client.info("replication")
        return bool(told["role"] == "master" and told["connected_slaves"] == 2)

    # -- the programs --

    def _folder(self, name: str) -> Path:
        return make_folder(self._home / name, self._user)

    def _file(self, name: str, source: str) -> Path:
        """Write a file of ops/ha into a machine's folder, with the addresses in place of the names."""
        text = (FILES / source).read_text().replace("CHANGE_ME", self.password)
        text = text.replace("/var/run/postgresql", str(self._folder(name)))
        for other in NAMES:
            text = text.replace(f"{other}.internal", self.address(other))
        path = self._folder(name) / source
        path.write_text(text.replace("bind 127.0.0.1:", f"bind {self.proxy}:"))
        if self._user:
            os.chown(path, self._user.uid, self._user.gid)
        return path

    def _spawn(self, name: str, command: Sequence[str], **env: str) -> "subprocess.Popen[bytes]":
        program = shutil.which(command[0], path=SEARCH)
        if not program:
            raise NotReached(f"{command[0]} is not installed: .ci/run names the packages")
        folder = self._folder(name)
        base = {"PATH": SEARCH, "LANG": "C.UTF-8", "HOME": str(folder)}
        with (folder / f"{command[0]}.log").open("ab") as log:
            return spawn(
                [program, *command[1:]],
                death_signal=signal.SIGKILL,
                cwd=folder,
                env=base | env,
                stdout=log,
                stderr=log,
                **(self._user.popen if self._user else {}),
            )

    def _start_etcd(self, name: str) -> "subprocess.Popen[bytes]":
        lines = self._file(name, "etcd.env").read_text().splitlines()
        env = dict(line.split("=", 1) for line in lines if line.startswith("ETCD_"))
        own, others = self.address(name), self.address("db1")
        cluster = env["ETCD_INITIAL_CLUSTER"]
        env = {key: value.replace(others, own) for key, value in env.items()}
        env |= {"ETCD_NAME": name, "ETCD_INITIAL_CLUSTER": cluster, "ETCD_DATA_DIR": str(self._folder(name) / "etcd")}
        return self._spawn(name, ["etcd"], **env)

    def _start_patroni(self, name: str) -> "subprocess.Popen[bytes]":
        address, folder = self.address(name), self._folder(name)
        own = {
            "NAME": name,
            "RESTAPI_LISTEN": f"{address}:8008",
            "RESTAPI_CONNECT_ADDRESS": f"{address}:8008",
            "POSTGRESQL_LISTEN": f"{address}:5432",
            "POSTGRESQL_CONNECT_ADDRESS": f"{address}:5432",
            "POSTGRESQL_DATA_DIR": str(folder / "postgresql"),
            "POSTGRESQL_BIN_DIR": str(POSTGRES),
            "POSTGRESQL_PGPASS": str(folder / "pgpass"),
            **{f"{role}_PASSWORD": self.password for role in ("SUPERUSER", "REPLICATION", "REWIND")},
        }
        path = self._file(name, "patroni.yml")
        return self._spawn(name, ["patroni", str(path)], **{f"PATRONI_{key}": value for key, value in own.items()})

    def _start_redis(self, name: str) -> "subprocess.Popen[bytes]":
        path = self._folder(name) / "redis.conf"
        first = not path.exists()
        follow = ["--replicaof", self.address("db1"), "6379"] if first and name != "db1" else []
        if first:  # Sentinel has its servers rewrite their files
            self._file(name, "redis.conf")
        return self._spawn(name, ["redis-server", str(path), *self._bound(name), *follow])

    def _start_sentinel(self, name: str) -> "subprocess.Popen[bytes]":
        path = self._folder(name) / "sentinel.conf"
        if not path.exists():
            self._file(name, "sentinel.conf")
        return self._spawn(name, ["redis-sentinel", str(path), *self._bound(name)])

    def _bound(self, name: str) -> list[str]:
        """Return Redis' options for a machine's address. Without them all three would come from 127.0.0.1."""
        return ["--bind", self.address(name), "--bind-source-addr", self.address(name)]

    def _start_haproxy(self) -> "subprocess.Popen[bytes]":
        path = self._file("proxy", "haproxy.cfg")
        return self._spawn("proxy", ["haproxy", "-db", "-f", str(path)], REDIS_PASSWORD=self.password)


@contextlib.contextmanager
def running_cluster(home: Path) -> Iterator[Cluster]:
    """Start a cluster; end it at the end."""
    cluster = Cluster(home)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
