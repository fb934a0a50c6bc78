"""A database that can't work is refused in one sentence: the same by `beacon migrate`, by a start and by doctor."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_cli.check_database import check_database
from runner_cli.commands import main
from runner_cli.embedded import EmbeddedPostgres
from runner_cli.local import login_urls, set_passwords
from runner_core import preflight
from runner_core.errors import MigrationError, NotReady
from runner_core.migrate import latest, migrate
from runner_core.readiness import probe
from runner_core.settings import Settings
from tests.cells import CELL, database_of
from tests.conftest import SANDBOX_REGIONS, Servers
from tests.jobs import one, opened, settings_for
from tests.pooler import system_programs
from tests.standby import standby_of

Conn = psycopg.Connection[Any]


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def refusals(url: str) -> list[str]:
    """What migrate, a start and doctor say of the database: each one sentence."""
    said = []
    with pytest.raises(MigrationError) as refused:
        migrate(url)
    said.append(refused.value.detail)
    with opened(settings_for(url), "api") as db, pytest.raises(NotReady) as unready:
        probe(db)
    said.append(unready.value.detail)
    found = [f.text for f in check_database(Settings.from_env({}), url) if f.level == "error" and f.text == said[0]]
    assert all("\n" not in text for text in said)
    return said + found


def tables(url: str) -> Any:
    """How many there are, in whatever schema of ours."""
    with psycopg.connect(url) as conn:
        return one(conn, "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")


@pytest.fixture
def made(servers: Servers) -> Iterator[Callable[[str], str]]:
    """Makes an empty database with these options; returns its owner's URL."""
    server = f"postgresql://{servers.user}:{servers.password}@{servers.host}:{servers.port}"
    execute(f"{server}/postgres", "DROP DATABASE IF EXISTS test_made WITH (FORCE)")

    def make(options: str) -> str:
        execute(f"{server}/postgres", f"CREATE DATABASE test_made TEMPLATE template0 {options}")
        return f"{server}/test_made"

    yield make
    execute(f"{server}/postgres", "DROP DATABASE IF EXISTS test_made WITH (FORCE)")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_an_encoding_that_cannot_hold_every_text(made: Callable[[str], str], encoding: str) -> None:
    url = made(f"ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'")
    migrating, starting, doctor = refusals(url)
    assert migrating == starting == doctor
    assert migrating.startswith(f"the database's encoding is {encoding}")
    assert tables(url) == 0


@pytest.mark.parametrize("module", ["runner_api", "outbox_publisher", "runner_worker"])
def test_a_process_ends_at_its_start_with_the_sentence(made: Callable[[str], str], module: str) -> None:
    url = made("ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'")
    env = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "REGIONS_FILE": str(SANDBOX_REGIONS),
        "ALLOW_SANDBOX": "1",
        "TRUST_ENFORCE": "0",
        "PROBE_SECONDS": "0",
    }
    arguments = ["--region", "US"] if module == "runner_worker" else []
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "the database's encoding is LATIN1" in said
    assert "Traceback" not in said


def test_a_search_path_of_the_database_leads_nowhere_else(empty_database_url: str) -> None:
    """The address alone says where the tables are."""
    database = database_of(empty_database_url)
    execute(empty_database_url, "CREATE SCHEMA team", f"ALTER DATABASE {database} SET search_path = team, public")
    assert migrate(empty_database_url) == latest()
    with psycopg.connect(empty_database_url) as conn:
        assert one(conn, "SELECT array_agg(DISTINCT schemaname) FROM pg_tables WHERE tablename = 'jobs'") == [
            CELL.schema
        ]
    with opened(settings_for(empty_database_url), "api") as db:
        probe(db)


def test_a_schema_of_a_logins_own_name_is_passed_over(database_url: str, home: Path) -> None:
    """The default search_path looks into it before public."""
    login = CELL.login("worker")
    execute(database_url, f"CREATE SCHEMA {login}", f"GRANT USAGE ON SCHEMA {login} TO {login}")
    execute(database_url, f"CREATE TABLE {login}.processes ()")
    set_passwords(home, database_url)
    with opened(settings_for(login_urls(home, database_url)["DATABASE_URL_WORKER"]), "worker") as db:
        probe(db)


def test_a_missing_schema_is_made_by_migrate(empty_database_url: str) -> None:
    execute(empty_database_url, f"DROP SCHEMA IF EXISTS {CELL.schema}")
    told = f"the database has no schema {CELL.schema}: run `beacon migrate`"
    with opened(settings_for(empty_database_url), "api") as db:
        with pytest.raises(NotReady) as refused:
            probe(db)
        assert refused.value.detail == told
        assert told in [finding.text for finding in check_database(Settings.from_env({}), empty_database_url)]
        assert migrate(empty_database_url) == latest()
        probe(db)


def test_a_server_that_is_too_old(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real server, and a release that asks for a newer one."""
    monkeypatch.setattr(preflight, "OLDEST_POSTGRES", 99)
    migrating, starting, doctor = refusals(empty_database_url)
    assert migrating == starting == doctor
    assert migrating.endswith("is too old: 99 or later is needed")
    assert tables(empty_database_url) == 0


@pytest.mark.needs("postgres")
def test_a_locale_in_which_topics_would_have_other_names(servers: Servers, home: Path) -> None:
    """In Turkish the small letter of I is not i, and a region's queue is named by its small letters."""
    with system_programs():
        postgres = EmbeddedPostgres(home)
        try:
            url = postgres.start()
            execute(url, "CREATE DATABASE turkish TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'tr'")
            migrating, starting, doctor = refusals(f"{url.rpartition('/')[0]}/turkish")
        finally:
            postgres.stop()
    assert migrating == starting == doctor
    assert migrating.startswith("the database's locale does not turn A to Z")


def test_a_database_that_an_operator_switched_to_read_only(database_url: str) -> None:
    database = database_of(database_url)
    execute(database_url, f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    migrating, starting, doctor = refusals(database_url)
    assert migrating == starting == doctor
    assert migrating.startswith("default_transaction_read_only is on for ")


def test_doctor_names_the_login_that_an_operator_switched_to_read_only(database_url: str) -> None:
    """Its own session is not: it asks as the owner."""
    database = database_of(database_url)
    execute(
        database_url,
        f"ALTER ROLE {CELL.login('api')} IN DATABASE {database} SET default_transaction_read_only = 'true'",
    )
    found = {f.subject: f for f in check_database(Settings.from_env({}), database_url)}
    assert found["writes"].level == "warning"
    assert found["writes"].text.startswith(f"default_transaction_read_only is on for {CELL.login('api')}")


def test_a_standby(own_postgres_at: tuple[EmbeddedPostgres, Path], home: Path) -> None:
    primary, primary_home = own_postgres_at
    migrate(primary.url)
    with standby_of(primary, primary_home, home) as standby:
        migrating, starting, doctor = refusals(standby.url)
    assert migrating == starting == doctor
    assert migrating.startswith("the server is a standby and takes no writes")


@pytest.fixture
def own_postgres_at(servers: Servers, make_home: Callable[[], Path]) -> Iterator[tuple[EmbeddedPostgres, Path]]:
    """A running PostgreSQL of the test's own, and its home."""
    folder = make_home()
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    yield postgres, folder
    postgres.stop()


# -- the schema's version --


def test_an_empty_database_and_an_older_one_need_a_migration(empty_database_url: str) -> None:
    with opened(settings_for(empty_database_url), "api") as db:
        with pytest.raises(NotReady, match=r"no (Beacon Runner )?schema.*: run `beacon migrate`"):
            probe(db)
        migrate(empty_database_url)
        execute(
            empty_database_url,
            "DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)",
        )
        older = f"the database's schema is at migration {latest() - 1}, this release needs {latest()}: run"
        with pytest.raises(NotReady, match=older):
            probe(db)
    found = {f.subject: f for f in check_database(Settings.from_env({}), empty_database_url)}
    assert (found["migrations"].level, found["migrations"].text[: len(older)]) == ("error", older)


def test_a_newer_schema_lets_the_processes_work_and_doctor_says_so(database_url: str) -> None:
    """A rolling deployment migrates first. Only migrating with the older release is refused."""
    execute(database_url, "INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")
    with opened(settings_for(database_url), "api") as db:
        probe(db)
    found = {f.subject: f for f in check_database(Settings.from_env({}), database_url)}
    assert found["migrations"].level == "warning"
    assert "upgrade the release" in found["migrations"].text
    with pytest.raises(MigrationError, match="which this release does not know: upgrade the release"):
        migrate(database_url)


@contextmanager
def broken_writes(url: str) -> Iterator[None]:
    """Nothing can be written to `processes`, by a trigger."""
    execute(
        url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON processes FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    yield
    execute(url, "DROP TRIGGER refuse ON processes", "DROP FUNCTION refuse")


def test_migrate_ends_with_the_proof_with_which_a_process_starts(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with broken_writes(database_url):
        assert main(["migrate", "--database", database_url]) == 1
        assert "the database refuses: no" in capsys.readouterr().err
    assert main(["migrate", "--database", database_url]) == 0
