"""An embedded Valkey: found, started and stopped by us, on a free port of 127.0.0.1.

It keeps its data below the home folder, asks for a password, and ends with the process that started it.
"""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import redis

from runner_cli.binaries import make_folder, server_user, valkey_program
from runner_cli.child import STOP_SECONDS, end, end_orphan, free_port, spawn, start_until_ready
from runner_cli.embedded.environment import ENVIRONMENT


class EmbeddedValkey:
    """Valkey below `home`/valkey, appending every write to a file there. `settings` are valkey.conf's."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None, password: str = "") -> None:
        self._user = server_user()
        self._program = valkey_program(self._user)
        self.folder = make_folder(home.absolute() / "valkey", self._user)
        self._log = self.folder / "server.log"
        self._settings = dict(settings or {})
        self._password = password or secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None
        self.host, self.port = "127.0.0.1", 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def wait(self) -> None:
        """Wait until the server has ended."""
        if self._process is not None:
            self._process.wait()

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{self.host}:{self.port}/0"

    @property
    def appended(self) -> Path:
        """The folder of the append-only files, from which a start loads data. Remove it for an empty server."""
        return self.folder / "appendonlydir"

    def start(self, appended: Path | None = None) -> str:
        """Start with the present data, or with a copy of `appended`, an older append-only folder."""
        if appended is not None:
            shutil.rmtree(self.appended, ignore_errors=True)
            shutil.copytree(appended, self.appended)
            for path in (self.appended, *self.appended.iterdir()):
                os.chown(path, self._user.uid if self._user else -1, self._user.gid if self._user else -1)
        pid_file = self.folder / "server.pid"
        end_orphan("valkey", pid_file, self.folder)
        fixed_port = self.port

        def launch() -> "subprocess.Popen[bytes]":
            self.port = fixed_port or free_port()
            with self._log.open("ab") as log:
                process = spawn(
                    [str(self._program), "-"],
                    death_signal=signal.SIGTERM,
                    env=ENVIRONMENT,
                    cwd=self.folder,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    **(self._user.popen if self._user else {}),
                )
            pid_file.write_text(str(process.pid))
            # The password goes by stdin, because every user of the machine can read a command line.
            if process.stdin is not None:
                with process.stdin as standard_input:
                    standard_input.write(self._configuration())
            return process

        self._process = start_until_ready("Valkey", launch, self._ready, self._log)
        return self.url

    def stop(self) -> None:
        """End the server after its last write is on disk."""
        if self._process is not None:
            end(self._process, (signal.SIGTERM, STOP_SECONDS))
            self._process = None

    def kill(self) -> None:
        """Kill the server as a crash would: the last second of writes may be lost."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def restart(self) -> str:
        """Stop and start again on the same port with the same password."""
        self.stop()
        return self.start()

    def _configuration(self) -> bytes:
        settings = {
            "bind": self.host,
            "port": str(self.port),
            "requirepass": self._password,
            "dir": "./",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",  # a queue that forgets is not a queue
            **self._settings,
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items()).encode()

    def _ready(self, process: "subprocess.Popen[bytes]") -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:  # not listening yet, reading its files, or another program took the port
            return False
