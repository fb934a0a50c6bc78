"""Writes sql/schema.sql: what the migrations make of an empty database, for people to read. `python -m tests.schema`"""

import os
import subprocess
import tempfile
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from runner_cli.binaries import postgres_programs, server_user
from runner_cli.embedded import EmbeddedPostgres
from runner_core.migrate import migrate

SCHEMA = Path(__file__).parent.parent / "sql/schema.sql"
HEAD = "-- Generated from sql/migrations by `python -m tests.schema`; change those, not this.\n"


def dump(url: str) -> str:
    """The schema of a migrated database, without what depends on the day: pg_dump's random key and the versions."""
    where = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    program = str(postgres_programs(server_user()) / "pg_dump")
    # Without a fixed key it prints a random one in \restrict.
    options = ["--schema-only", "--no-owner", "--restrict-key=beacon"]
    env = {"PATH": os.defpath, "PGPASSWORD": where.pop("password", "")}
    address = ["--host", where["host"], "--port", where["port"], "--username", where["user"], where["dbname"]]
    done = subprocess.run([program, *options, *address], env=env, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("-- Dumped ")]
    return HEAD + "\n".join(lines) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="beacon-schema-") as folder:
        Path(folder).chmod(0o711)
        postgres = EmbeddedPostgres(Path(folder))
        try:
            url = postgres.start()
            migrate(url)
            SCHEMA.write_text(dump(url), encoding="utf-8")
        finally:
            postgres.stop()


if __name__ == "__main__":
    main()
