"""The logins' roles and rights: a step that every `beacon migrate` repeats, whatever the database went through."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner_cli.binaries import postgres_programs, server_user
from runner_cli.check_database import check_database
from runner_cli.commands import main
from runner_cli.embedded import EmbeddedPostgres
from runner_cli.local import login_urls, set_passwords
from runner_core.errors import MigrationError, NotReady
from runner_core.grants import logins, missing_logins, missing_rights, parse, rights
from runner_core.migrate import Migration, latest, migrate, migrations
from runner_core.readiness import probe
from runner_core.session import connect
from runner_core.settings import Settings
from tests.cells import CELL, at_database, database_of, in_cell
from tests.jobs import one, opened, query, settings_for

Conn = psycopg.Connection[Any]


def check_logins(home: Path, url: str) -> None:
    """Each process can start under its own login."""
    set_passwords(home, url)
    for name, own_url in login_urls(home, url).items():
        kind = name.removeprefix("DATABASE_URL_").lower()
        with opened(settings_for(own_url), kind) as db:
            probe(db)


def error_of(url: str, subject: str) -> str:
    """What doctor says of a subject that is an error."""
    (found,) = [f for f in check_database(Settings.from_env({}), url) if f.subject == subject and f.level == "error"]
    return found.text


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


@pytest.fixture
def owned(servers: object, empty_database_url: str) -> Iterator[Callable[[str], str]]:
    """Makes a role with these attributes the owner of the empty database; returns its URL."""
    database = database_of(empty_database_url)
    name = f"owner_{database}"

    def make(attributes: str = "") -> str:
        execute(
            empty_database_url,
            f"CREATE ROLE {name} LOGIN PASSWORD 'secret' {attributes}",
            f"ALTER DATABASE {database} OWNER TO {name}",
        )
        return re.sub(r"//[^@]*@", f"//{name}:secret@", empty_database_url)

    yield make
    execute(empty_database_url, f"DROP OWNED BY {name} CASCADE", f"ALTER DATABASE {database} OWNER TO CURRENT_USER")
    execute(empty_database_url, f"DROP ROLE {name}")


# -- what sql/grants.sql says --


def test_every_table_view_sequence_and_function_is_in_the_list(conn: Conn) -> None:
    """What nobody was granted is forgotten here, and found in production."""
    named = {(right.kind, right.name) for right in rights(CELL)}
    relations = query(
        conn, "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    )
    kinds = {"r": "TABLE", "p": "TABLE", "v": "TABLE", "m": "TABLE", "S": "SEQUENCE"}
    found = {(kinds[r["relkind"]], r["relname"]) for r in relations if r["relkind"] in kinds}
    functions = query(
        conn,
        "SELECT proname || '(' || oidvectortypes(proargtypes) || ')' AS name FROM pg_proc"
        " WHERE pronamespace = current_schema()::regnamespace",
    )
    found |= {("FUNCTION", function["name"]) for function in functions}
    assert found - named == set(), "sql/grants.sql must say which login may use these"


def test_a_login_has_no_right_that_is_not_in_the_list(conn: Conn) -> None:
    found = query(
        conn,
        "SELECT g.rolname AS login, x.privilege_type AS privilege, c.relname AS name, NULL AS column"
        "  FROM pg_class c, aclexplode(c.relacl) x JOIN pg_roles g ON g.oid = x.grantee"
        " WHERE c.relnamespace = current_schema()::regnamespace AND g.rolname = ANY (%s)"
        " UNION ALL SELECT g.rolname, x.privilege_type, c.relname, a.attname"
        "  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, aclexplode(a.attacl) x"
        "  JOIN pg_roles g ON g.oid = x.grantee"
        " WHERE c.relnamespace = current_schema()::regnamespace AND g.rolname = ANY (%s)",
        list(logins(CELL)),
        list(logins(CELL)),
    )
    listed = {(r.login, r.privilege, r.name, r.column) for r in rights(CELL)}
    assert {(f["login"], f["privilege"], f["name"], f["column"]) for f in found} - listed == set()


@pytest.mark.parametrize(
    "statement",
    [
        "GRANT beacon_api TO beacon_worker",
        "REVOKE ALL ON TABLE jobs FROM beacon_api",
        "GRANT SELECT ON TABLE a TO PUBLIC",
    ],
)
def test_a_statement_that_cannot_be_compared_is_refused(statement: str) -> None:
    with pytest.raises(ValueError, match="not a statement that can be compared"):
        list(parse(statement))


# -- upgrade --


def test_what_a_migration_makes_anew_can_be_used_at_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of the release before go on meanwhile, also when the next migration fails."""
    known = migrations()
    anew = (
        "DO $$ DECLARE text text := pg_get_viewdef('region_results'); BEGIN"
        " DROP VIEW region_results; EXECUTE 'CREATE VIEW region_results AS ' || text; END $$"
    )
    more = [Migration(len(known) + 1, "anew", anew, "x"), Migration(len(known) + 2, "broken", "SELECT 1/0", "x")]
    monkeypatch.setattr("runner_core.migrate.migrations", lambda: [*known, *more])
    with pytest.raises(MigrationError, match="division by zero"):
        migrate(database_url)
    with connect(database_url, "test") as conn:
        assert one(conn, "SELECT max(version) FROM schema_migrations") == len(known) + 1
        assert missing_rights(conn, rights(CELL)) == []


# -- an owner without the right to make roles --


def test_roles_that_exist_are_used_by_an_owner_that_may_make_none(
    migrated: str, owned: Callable[[str], str], home: Path, empty_database_url: str
) -> None:
    """`migrated` has made the roles of this server."""
    assert migrate(owned("NOCREATEROLE")) == latest()
    check_logins(home, empty_database_url)


def test_an_owner_that_may_make_roles_makes_them(own_postgres: EmbeddedPostgres, home: Path) -> None:
    execute(
        own_postgres.url, "CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'secret'", "ALTER DATABASE beacon OWNER TO owner"
    )
    assert migrate(own_postgres.url.replace(f"beacon:{own_postgres.password}", "owner:secret")) == latest()
    check_logins(home, own_postgres.url)


def test_missing_roles_are_told_with_the_statements_for_an_administrator(
    own_postgres: EmbeddedPostgres, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(
        own_postgres.url,
        "CREATE ROLE owner LOGIN PASSWORD 'secret'",
        "ALTER DATABASE beacon OWNER TO owner",
        "CREATE ROLE beacon_publisher LOGIN NOINHERIT",
    )
    url = own_postgres.url.replace(f"beacon:{own_postgres.password}", "owner:secret")
    assert main(["migrate", "--database", url]) == 1
    told = capsys.readouterr().err
    assert "the roles beacon_api, beacon_worker, beacon_analyst are missing" in told
    with psycopg.connect(own_postgres.url) as conn:
        assert one(conn, "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace") == 0
    (statements,) = re.findall(r"let an administrator run `([^`]*)`", told)
    execute(own_postgres.url, *statements.split(";"))
    assert main(["migrate", "--database", url]) == 0
    check_logins(home, own_postgres.url)


# -- a restore --


def restored(source: str, target: EmbeddedPostgres, *options: str) -> None:
    """A dump of `source` in the target's database; statements that fail are passed over, as psql does of itself."""
    programs = postgres_programs(server_user())
    dumped = subprocess.run([programs / "pg_dump", *options, source], capture_output=True, check=True)
    subprocess.run([programs / "psql", "-q", target.url], input=dumped.stdout, capture_output=True, check=True)


def test_a_dump_restored_without_the_roles_gets_them_back_from_migrate(
    database_url: str, own_postgres: EmbeddedPostgres, home: Path
) -> None:
    restored(database_url, own_postgres)
    url = in_cell(own_postgres.url, CELL.schema)
    assert f"{', '.join(logins(CELL))} are missing: run `beacon migrate`" in error_of(url, "logins")
    assert migrate(url) == 0
    check_logins(home, url)
    with connect(url, "test") as conn:
        assert (missing_logins(conn), missing_rights(conn, rights(CELL))) == ([], [])
    assert {f.level for f in check_database(Settings.from_env({}), url)} == {"ok"}


def test_a_dump_without_privileges_gets_them_back_from_the_grants_alone(
    database_url: str, own_postgres: EmbeddedPostgres, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everybody could run what only the owner's functions may do, until then."""
    restored(database_url, own_postgres, "--no-privileges", "--no-owner")
    execute(own_postgres.url, *logins(CELL).values())
    url = in_cell(own_postgres.url, CELL.schema)
    told = error_of(url, "rights")
    assert "everybody has EXECUTE on function end_units" in told
    assert f"{CELL.login('worker')} lacks " in told
    assert "run `beacon migrate --grants`" in told
    assert main(["migrate", "--grants", "--database", url]) == 0
    assert "0 migrations applied" in capsys.readouterr().out
    check_logins(home, url)
    assert {f.level for f in check_database(Settings.from_env({}), url)} == {"ok"}


# -- a right that was taken away --


@pytest.mark.parametrize(
    ("kind", "taken", "told"),
    [
        ("api", "INSERT ON jobs", "INSERT on table jobs"),
        ("publisher", "UPDATE (version) ON jobs", "UPDATE (version) on table jobs"),
        ("worker", "USAGE ON SEQUENCE result_ids", "USAGE on sequence result_ids"),
        ("worker", "EXECUTE ON FUNCTION close_jobs(text[])", "EXECUTE on function close_jobs(text[])"),
        ("api", "SELECT ON schema_migrations", "SELECT on table schema_migrations"),
    ],
)
def test_a_missing_right_is_named_by_the_start_and_by_doctor_and_given_back(
    database_url: str, home: Path, kind: str, taken: str, told: str
) -> None:
    told = f"{CELL.login(kind)} lacks {told}"
    execute(database_url, f"REVOKE {taken} FROM {CELL.login(kind)}")
    set_passwords(home, database_url)
    own_url = login_urls(home, database_url)[f"DATABASE_URL_{kind.upper()}"]
    with opened(settings_for(own_url), kind) as db:
        with pytest.raises(NotReady, match=re.escape(told)):
            probe(db)
        assert told in error_of(database_url, "rights")
        assert migrate(database_url, grants_only=True) == 0
        probe(db)


@pytest.mark.parametrize(("who", "told"), [("PUBLIC", "everybody"), (CELL.login("worker"), CELL.login("worker"))])
def test_a_schema_in_which_a_login_may_create_functions_is_named(
    database_url: str, who: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As everybody may in the schema public of a database that was upgraded from PostgreSQL 14 or older."""

    def warned() -> list[str]:
        found = check_database(Settings.from_env({}), database_url)
        return [f.text for f in found if (f.level, f.subject) == ("warning", "schema")]

    assert warned() == []
    execute(database_url, f"GRANT CREATE ON SCHEMA {CELL.schema} TO {who}")
    (sentence,) = warned()
    assert sentence.startswith(f"{told} may create functions in the schema {CELL.schema}, ")
    assert migrate(database_url) == 0
    assert sentence in caplog.text
    (statement,) = re.findall(r"run `([^`]*)`", sentence)
    execute(database_url, statement)
    assert warned() == []


def test_a_login_that_may_not_grant_is_told_what_is_missing(database_url: str, owned: Callable[[str], str]) -> None:
    execute(database_url, f"REVOKE INSERT ON jobs FROM {CELL.login('api')}")
    stranger = in_cell(at_database(owned(""), database_of(database_url)), CELL.schema)
    with pytest.raises(MigrationError, match=rf"{CELL.login('api')} lacks INSERT on table jobs.* may not grant that"):
        migrate(stranger, grants_only=True)


def test_the_grants_alone_need_a_migrated_database(empty_database_url: str) -> None:
    with pytest.raises(MigrationError, match=r"no (Beacon Runner )?schema.*: run `beacon migrate`"):
        migrate(empty_database_url, grants_only=True)


def test_a_login_that_may_make_no_schema_is_told_the_statement_for_an_administrator(
    database_url: str, owned: Callable[[str], str]
) -> None:
    stranger = in_cell(at_database(owned("CREATEROLE"), database_of(database_url)), "user")
    with pytest.raises(MigrationError, match="the database has no schema user and this login may not") as refused:
        migrate(stranger)
    (statement,) = re.findall(r"let an administrator run `([^`]*)`", refused.value.detail)
    execute(database_url, statement)
    execute(database_url, 'DROP SCHEMA "user"')
