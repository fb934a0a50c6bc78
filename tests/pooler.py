"""Debian 12's own servers, for TEST_SERVERS=pooler: PgBouncer in transaction mode before PostgreSQL 15, and Redis 7."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner_cli.binaries import make_folder, server_user
from runner_cli.child import end, free_port, spawn, start_until_ready
from runner_cli.embedded import ENVIRONMENT, EmbeddedPostgres

# The system's, not the wheel's; 15 where there are several.
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: folder.parent.name == "15", default=Path())

# PgBouncer's defaults, but for where it is, that it pools by transaction, and that it asks each second for a server
# that was away: of itself it refuses everybody for 15 s, longer than a request may wait. It knows the owner alone and
# asks the server for the logins, whose passwords are a test's own. It drops what an address names in
# `options`, a cell's search_path among them: each transaction sets that itself.
CONFIGURATION = """
[databases]
* = host={host} port={port} auth_user={owner}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
server_round_robin = 1
server_login_retry = 1
ignore_startup_parameters = options
"""


@contextmanager
def system_programs() -> Iterator[None]:
    """What is started as an embedded server meanwhile is the system's PostgreSQL 15 and Redis 7, not a wheel's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner_cli.embedded.postgres.postgres_programs", lambda _: POSTGRES)
        patch.setattr("runner_cli.embedded.valkey.valkey_program", lambda _: Path(str(shutil.which("redis-server"))))
        yield


@contextmanager
def pgbouncer(home: Path, postgres: EmbeddedPostgres) -> Iterator[int]:
    """PgBouncer before every database of this server; its port. A normal user's, because it refuses to be root."""
    user = server_user()
    folder = make_folder(home / "pgbouncer", user)
    listen = free_port()
    users, configuration, log = folder / "users.txt", folder / "pgbouncer.ini", folder / "pgbouncer.log"
    users.write_text(f'"{postgres.user}" "{postgres.password}"\n')
    configuration.write_text(
        CONFIGURATION.format(host=postgres.host, port=postgres.port, owner=postgres.user, listen=listen, users=users)
    )
    for path in (users, configuration):
        path.chmod(0o600)
        os.chown(path, user.uid if user else -1, user.gid if user else -1)

    def launch() -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return spawn(
                [str(shutil.which("pgbouncer", path=f"{os.defpath}:/usr/sbin")), str(configuration)],
                death_signal=signal.SIGTERM,
                env=ENVIRONMENT | {"USER": user.name if user else pwd.getpwuid(os.geteuid()).pw_name},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **(user.popen if user else {}),
            )

    def listening(_: "subprocess.Popen[bytes]") -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", listen)) == 0

    process = start_until_ready("PgBouncer", launch, listening, log)
    try:
        yield listen
    finally:
        end(process, (signal.SIGINT, 5.0))
