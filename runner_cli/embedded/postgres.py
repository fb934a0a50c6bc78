"""An embedded PostgreSQL: found, started and stopped by us, on a free port of 127.0.0.1.

It keeps its data below the home folder, asks for a password, and ends with the process that started it.
"""
# ruff: noqa: S603 - it starts the server's own programs; nothing here comes from a request.

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner_cli.binaries import EmbeddedError, make_folder, postgres_programs, server_user
from runner_cli.child import STOP_SECONDS, end, end_orphan, free_port, spawn, start_until_ready
from runner_cli.embedded.environment import ENVIRONMENT


class EmbeddedPostgres:
    """PostgreSQL below `home`/postgres. `settings` are postgresql.conf's, for this run."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        self._user = server_user()
        self._programs = postgres_programs(self._user)
        self._folder = make_folder(home.absolute() / "postgres", self._user)
        self._data = self._folder / "data"
        self._password_file = self._folder / "password"
        self._log = self._folder / "server.log"
        self._settings = {"max_connections": "200", **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.host, self.port, self.user, self.dbname = "127.0.0.1", 0, "beacon", "beacon"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def wait(self) -> None:
        """Wait until the server has ended."""
        if self._process is not None:
            self._process.wait()

    @property
    def password(self) -> str:
        return self._password_file.read_text()

    @property
    def url(self) -> str:
        """The URL of the database's owner, a superuser."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.dbname}"

    def start(self) -> str:
        """Start and wait until it takes connections; the first start makes the cluster. Returns the owner's URL."""
        end_orphan("postgres", self._data / "postmaster.pid", self._data)
        if not self._data.exists():
            self._initdb()
        fixed_port = self.port

        def launch() -> "subprocess.Popen[bytes]":
            self.port = fixed_port or free_port()
            settings = {
                "listen_addresses": self.host,
                "port": str(self.port),
                "unix_socket_directories": "",  # the path of a socket is limited to about 100 bytes; a home's is not
                **self._settings,
            }
            options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            with self._log.open("ab") as log:
                return spawn(
                    [str(self._programs / "postgres"), "-D", str(self._data), *options],
                    death_signal=signal.SIGINT,
                    env=ENVIRONMENT,
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **self._as_user,
                )

        self._process = start_until_ready("PostgreSQL", launch, self._ready, self._log)
        made = self._folder / "database"
        if not made.exists():
            try:
                self._createdb()
            except BaseException:  # as a Ctrl-C a moment before: who called knows of no server
                self.stop()
                raise
            made.touch()
        return self.url

    def stop(self, *, immediate: bool = False) -> None:
        """End the server. SIGINT ("fast") disconnects clients; SIGTERM would wait for them. `immediate`: as a crash."""
        if self._process is None:
            return
        fast = [] if immediate else [(signal.SIGINT, STOP_SECONDS)]
        end(self._process, *fast, (signal.SIGQUIT, STOP_SECONDS))
        self._process = None

    def restart(self, *, immediate: bool = False) -> str:
        """Stop and start again on the same port."""
        self.stop(immediate=immediate)
        return self.start()

    @property
    def _as_user(self) -> dict[str, Any]:
        return self._user.popen if self._user else {}

    def _initdb(self) -> None:
        if not self._password_file.exists():
            self._password_file.touch(mode=0o600)
            self._password_file.write_text(secrets.token_urlsafe(24))
            if self._user:
                os.chown(self._password_file, self._user.uid, self._user.gid)
        draft = self._folder / "data.new"  # renamed when complete: an interrupted first start leaves no half cluster
        shutil.rmtree(draft, ignore_errors=True)
        version = self._run("postgres", "--version").split(") ")[1]
        # The builtin provider (17 and later) sorts UTF-8 the same on every system.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if int(version.split(".")[0]) >= 17 else []
        self._run(
            "initdb",
            "-D",
            str(draft),
            "-U",
            self.user,
            "-E",
            "UTF8",
            "--locale=C",
            *locale,
            "-A",
            "scram-sha-256",
            f"--pwfile={self._password_file}",
            "--no-sync",
        )
        draft.rename(self._data)

    def _createdb(self) -> None:
        where = ["-h", self.host, "-p", str(self.port), "-U", self.user, "--maintenance-db=postgres"]
        try:
            self._run("createdb", *where, self.dbname, PGPASSWORD=self.password)
        except EmbeddedError as error:
            if "already exists" not in error.detail:
                raise

    def _run(self, program: str, *arguments: str, **env: str) -> str:
        with subprocess.Popen(
            [str(self._programs / program), *arguments],
            env=ENVIRONMENT | env,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **self._as_user,
        ) as process:
            try:
                said, complained = process.communicate()
            except BaseException:
                # initdb's own children too, which would go on writing where all is soon removed. They hold our pipes:
                # when these are at their end, all have ended.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.communicate()
                raise
        if process.returncode:
            raise EmbeddedError(f"{program} ended with status {process.returncode}:\n{complained.strip()}")
        return str(said)

    def _ready(self, process: "subprocess.Popen[bytes]") -> bool:
        """Return whether the server is ready: its pid file has its pid in line 1, its state in 8 (miscinit.h)."""
        try:
            lines = (self._data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(process.pid) and lines[7:8] == ["ready   "]
