"""A hot standby of the deployment's PostgreSQL: it answers reads and refuses every write with SQLSTATE 25006."""

import os
import shutil
import subprocess
from pathlib import Path

from runner_cli.binaries import make_folder, postgres_programs, server_user
from runner_cli.embedded import ENVIRONMENT, EmbeddedPostgres


class Standby:
    """A standby of `primary`, whose home is `home`. Each start makes a new copy, because a primary that crashed since
    then may lack what the old copy has. `server` is the running standby."""

    def __init__(self, home: Path, primary: EmbeddedPostgres) -> None:
        self._home, self._primary_home, self._primary = home / "standby", home, primary
        self.server: EmbeddedPostgres | None = None

    def start(self) -> EmbeddedPostgres:
        """Copy the running primary and start a server that replicates it. Return when the server answers reads."""
        self.stop()
        # Copy the password and the record that the database exists, because a standby can't create a database.
        shutil.copytree(
            self._primary_home / "postgres",
            self._home / "postgres",
            ignore=shutil.ignore_patterns("data", "server.log"),
        )
        user = server_user()
        folder = make_folder(self._home / "postgres", user)
        where = ["-h", self._primary.host, "-p", str(self._primary.port), "-U", self._primary.user]
        subprocess.run(
            [
                str(postgres_programs(user) / "pg_basebackup"),
                *where,
                "--pgdata=data",
                "--write-recovery-conf",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--no-sync",
            ],
            env=ENVIRONMENT | {"PGPASSWORD": self._primary.password},
            cwd=folder,
            check=True,
            **(user.popen if user else {}),
        )
        self.server = EmbeddedPostgres(self._home)
        self.server.start()
        return self.server

    def stop(self) -> None:
        """Stop the server, if it runs, and remove its data."""
        if self.server is not None:
            self.server.stop(immediate=True)
            self.server = None
        shutil.rmtree(self._home, ignore_errors=True)


def follow(home: Path, primary: EmbeddedPostgres) -> None:
    """Let the stopped server below `home` begin as a standby of `primary`, which was its own standby until now."""
    data = home / "postgres" / "data"
    where = f"host={primary.host} port={primary.port} user={primary.user} password={primary.password}"
    with (data / "postgresql.auto.conf").open("a") as configuration:
        configuration.write(f"primary_conninfo = '{where}'\n")
    (data / "standby.signal").touch()
    owner = data.stat()
    os.chown(data / "standby.signal", owner.st_uid, owner.st_gid)
