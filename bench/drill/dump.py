"""Dumps a database with pg_dump, and restores the dump into an empty server, as docs/rollout.md says."""

import os
import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from runner_cli.binaries import postgres_programs, server_user
from runner_core.sql_files import sql_files


def dump(url: str, path: Path) -> None:
    """Write a dump of the database to `path`, in pg_dump's own format."""
    _run("pg_dump", url, "--format=custom", f"--file={path}")


def restore(url: str, path: Path) -> None:
    """Make the logins' roles, which no dump contains, and restore `path` into the empty database."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql_files().joinpath("roles.sql").read_bytes())
    _run("pg_restore", url, "--exit-on-error", "--single-transaction", str(path))


def _run(program: str, url: str, *options: str) -> None:
    """Run a program of PostgreSQL. The password goes by the environment, which other users can't read."""
    where = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    env = {"PATH": os.defpath, "PGPASSWORD": where.pop("password", "")}
    address = ["--host", where["host"], "--port", where["port"], "--username", where["user"]]
    command = [str(postgres_programs(server_user()) / program), *address, f"--dbname={where['dbname']}", *options]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} ended with status {done.returncode}: {done.stderr.strip()}")
