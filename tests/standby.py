"""A hot standby of a PostgreSQL of the test's own, made with pg_basebackup."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner_cli.binaries import make_folder, postgres_programs, server_user
from runner_cli.embedded import ENVIRONMENT, EmbeddedPostgres


@contextmanager
def standby_of(primary: EmbeddedPostgres, primary_home: Path, home: Path) -> Iterator[EmbeddedPostgres]:
    """A running standby below `home` of the primary below `primary_home`; the same login and databases."""
    user = server_user()
    folder = make_folder(home / "postgres", user)
    subprocess.run(
        [
            str(postgres_programs(user) / "pg_basebackup"),
            "-c",
            "fast",
            "-D",
            str(folder / "data"),
            "-R",
            "-d",
            primary.url,
        ],
        env=ENVIRONMENT,
        cwd=folder,
        check=True,
        capture_output=True,
        **(user.popen if user else {}),
    )
    for name in ("password", "database"):  # a cluster of its own would be made without them
        shutil.copy(primary_home / "postgres" / name, folder / name)
        os.chown(folder / name, user.uid if user else -1, user.gid if user else -1)
    standby = EmbeddedPostgres(home)
    try:
        standby.start()
        yield standby
    finally:
        standby.stop()
