"""Writes sql/schema.sql: what the migrations make of an empty database, for people to read. `python -m tests.schema`"""

import os
import subprocess
import tempfile
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from runner_cli.binaries import postgres_programs, server_user
from runner_cli.embedded import EmbeddedPostgres
from runner_core.cells import PUBLIC, cell_of
from runner_core.migrate import migrate

SCHEMA = Path(__file__).parent.parent / "sql/schema.sql"
# What a dump of one schema alone begins with.
MADE = "--\n-- Name: public; Type: SCHEMA; Schema: -; Owner: -\n--\n\nCREATE SCHEMA public;\n\n\n"
HEAD = "-- Generated from sql/migrations by `python -m tests.schema`; change those, not this.\n"


def dump(url: str) -> str:
    """The schema of a migrated database, without what depends on the day: pg_dump's random key and the versions.

    That of a cell is told with the names of `public`.
    """
    cell = cell_of(url)
    where = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    program = str(postgres_programs(server_user()) / "pg_dump")
    # Without a fixed key it prints a random one in \restrict.
    options = ["--schema-only", "--no-owner", "--restrict-key=beacon"]
    options += [] if cell.schema == PUBLIC else [f"--schema={cell.schema}"]
    env = {"PATH": os.defpath, "PGPASSWORD": where.pop("password", "")}
    address = ["--host", where["host"], "--port", where["port"], "--username", where["user"], where["dbname"]]
    done = subprocess.run([program, *options, *address], env=env, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("-- Dumped ")]
    text = "\n".join(lines).replace(f"{cell.login('')}", "beacon_").replace(cell.schema, PUBLIC)
    return HEAD + text.replace(MADE, "") + "\n"


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
