"""Three machines with etcd, Patroni, PostgreSQL, Redis and Sentinel, and HAProxy before them, from the files of ops/ha.

Each machine is a loopback address of its own, so that every server keeps its usual port.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from bench.ha.programs import NAMES, NotReached, Programs
from runner_cli.child import end

START_SECONDS = 120.0


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
        self._programs = Programs(home)
        self._running: dict[str, dict[str, subprocess.Popen[bytes]]] = {}
        self.password, self.proxy, self.address = self._programs.password, self._programs.proxy, self._programs.address

    @property
    def database_url(self) -> str:
        """Return the owner's URL, which leads through HAProxy."""
        return f"postgresql://postgres:{self.password}@{self.proxy}:5432/postgres?sslmode=disable"

    @property
    def redis_url(self) -> str:
        """Return the URL of Redis, which leads through HAProxy."""
        return f"redis://:{self.password}@{self.proxy}:6379/0"

    # -- start and end --

    def start(self) -> None:
        """Start everything, and wait until a primary has two replicas, one of them synchronous."""
        for name in NAMES:
            self.start_machine(name)
        self._running["proxy"] = {"haproxy": self._programs.start_haproxy()}
        until(self.is_whole, "the cluster did not become whole")
        until(lambda: self.redis_master() != "", "Redis has no master behind HAProxy")

    def start_machine(self, name: str) -> None:
        """Start a machine's programs that do not run."""
        running = self._running.setdefault(name, {})
        for program, begin in self._programs.starts().items():
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
            first = int((self._programs.folder(name) / "postgresql/postmaster.pid").read_text().splitlines()[0])
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
            asked = redis.Redis(self.address(name), 26379, password=self.password)
            with contextlib.suppress(redis.RedisError), asked as sentinel:
                address, _ = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "beacon")
                return next(name for name in NAMES if self.address(name) == address.decode())
        raise NotReached("no Sentinel answers")

    def redis_is_whole(self) -> bool:
        """Return whether the master has two replicas that are up to date."""
        master = self.redis_master_machine()
        with redis.Redis(self.address(master), 6379, password=self.password, socket_timeout=1) as client:
            told = client.info("replication")
        return bool(told["role"] == "master" and told["connected_slaves"] == 2)


@contextlib.contextmanager
def running_cluster(home: Path) -> Iterator[Cluster]:
    """Start a cluster; end it at the end."""
    cluster = Cluster(home)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
