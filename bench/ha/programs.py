"""The programs of the three machines, each started from the files of ops/ha on a loopback address of its machine.

In the files the machines' names, the password of Redis, the folder of PostgreSQL's socket and the addresses at which
etcd and HAProxy listen are replaced. Redis and Sentinel are told their address on the command line.
"""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from runner_cli.binaries import make_folder, server_user
from runner_cli.child import spawn
from runner_cli.home import CHECKOUT
from tests.pooler import POSTGRES

FILES = CHECKOUT / "ops/ha"
NAMES = ("db1", "db2", "db3")
SEARCH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"


class NotReached(Exception):
    """A state that was waited for did not come, or a program is not installed."""


class Programs:
    """Starts programs. `home` must be a folder that the servers' user can reach.

    `password`: of PostgreSQL's roles and of Redis; `proxy`: HAProxy's address.
    """

    def __init__(self, home: Path) -> None:
        self._user = server_user()
        # Runs side by side have networks of their own.
        self._network = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 250}"
        self._home = home
        self.password = secrets.token_hex(12)
        self.proxy = f"{self._network}.4"

    def address(self, name: str) -> str:
        """Return a machine's address."""
        return f"{self._network}.{NAMES.index(name) + 1}"

    def starts(self) -> dict[str, Callable[[str], "subprocess.Popen[bytes]"]]:
        """Return the functions that start a machine's programs, in order. Each raises NotReached if its program is
        not installed."""
        return {
            "etcd": self._start_etcd,
            "patroni": self._start_patroni,
            "redis": self._start_redis,
            "sentinel": self._start_sentinel,
        }

    def folder(self, name: str) -> Path:
        """Return a machine's folder, which is made if it is not there."""
        return make_folder(self._home / name, self._user)

    def _file(self, name: str, source: str) -> Path:
        """Write a file of ops/ha into a machine's folder, with the addresses in place of the names."""
        text = (FILES / source).read_text().replace("CHANGE_ME", self.password)
        text = text.replace("/var/run/postgresql", str(self.folder(name)))
        for other in NAMES:
            text = text.replace(f"{other}.internal", self.address(other))
        path = self.folder(name) / source
        path.write_text(text.replace("bind 127.0.0.1:", f"bind {self.proxy}:"))
        if self._user:
            os.chown(path, self._user.uid, self._user.gid)
        return path

    def _spawn(self, name: str, command: Sequence[str], **env: str) -> "subprocess.Popen[bytes]":
        program = shutil.which(command[0], path=SEARCH)
        if not program:
            raise NotReached(f"{command[0]} is not installed: .ci/run names the packages")
        folder = self.folder(name)
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
        env = {key: value.replace(others, own).replace("//0.0.0.0:", f"//{own}:") for key, value in env.items()}
        env |= {"ETCD_NAME": name, "ETCD_INITIAL_CLUSTER": cluster, "ETCD_DATA_DIR": str(self.folder(name) / "etcd")}
        return self._spawn(name, ["etcd"], **env)

    def _start_patroni(self, name: str) -> "subprocess.Popen[bytes]":
        address, folder = self.address(name), self.folder(name)
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
        path = self.folder(name) / "redis.conf"
        first = not path.exists()
        follow = ["--replicaof", self.address("db1"), "6379"] if first and name != "db1" else []
        if first:  # Sentinel has its servers rewrite their files
            self._file(name, "redis.conf")
        return self._spawn(name, ["redis-server", str(path), *self._bound(name), *follow])

    def _start_sentinel(self, name: str) -> "subprocess.Popen[bytes]":
        path = self.folder(name) / "sentinel.conf"
        if not path.exists():
            self._file(name, "sentinel.conf")
        return self._spawn(name, ["redis-sentinel", str(path), *self._bound(name)])

    def _bound(self, name: str) -> list[str]:
        """Return Redis' options for a machine's address. Without them all three would come from 127.0.0.1.

        They win over `bind` in the file, which is of db1.
        """
        return ["--bind", self.address(name), "--bind-source-addr", self.address(name)]

    def start_haproxy(self) -> "subprocess.Popen[bytes]":
        """Start HAProxy, which belongs to no machine. Raises NotReached if it is not installed."""
        path = self._file("proxy", "haproxy.cfg")
        return self._spawn("proxy", ["haproxy", "-db", "-f", str(path)], REDIS_PASSWORD=self.password)
