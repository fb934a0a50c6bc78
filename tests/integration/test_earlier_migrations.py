"""A database that an earlier release migrated, and an empty one, come to the same schema."""

import hashlib
import re
from pathlib import Path

import psycopg
import pytest

from runner_core.errors import MigrationError
from runner_core.migrate import Migration, latest, migrate, migrations
from tests.cells import CELL
from tests.schema import SCHEMA, dump

# The third migration of the first release made the roles and gave them their rights itself.
ROLES_OF_THE_FIRST_RELEASE = Path(__file__).parent.parent / "data/0003_roles_with_grants.sql"
# What the rewriting of migrations replaced: the text of this release, and the earlier one.
REWRITTEN = {
    "SET search_path FROM CURRENT": "SET search_path = public, pg_temp",
    "current_schema()::regnamespace": "'public'::regnamespace",
    """DO $$ BEGIN
  EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC', current_schema());
  EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
END $$;
""": """REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
""",
    "REVOKE ALL ON open_region_sets, region_queues FROM PUBLIC;\n": (
        "REVOKE ALL ON open_region_sets, region_queues FROM PUBLIC;\n"
        "GRANT SELECT ON open_region_sets, region_queues TO beacon_api, beacon_publisher;\n"
    ),
    "REVOKE ALL ON readiness FROM PUBLIC;\n": (
        "REVOKE ALL ON readiness FROM PUBLIC;\n"
        "GRANT INSERT ON readiness TO beacon_api, beacon_publisher, beacon_worker;\n"
    ),
}
NOTE = re.compile(r"-- The text of earlier releases (?:.*\n)+?-- was: [0-9a-f]{64}\n")
MIGRATIONS_BEFORE_CELLS = 17
NAMED = [migration for migration in migrations() if NOTE.search(migration.sql)]

pytestmark = pytest.mark.skipif(CELL.schema != "public", reason="earlier releases had the schema public alone")


def earlier(migration: Migration) -> str:
    """The text that the releases before this one applied."""
    text = NOTE.sub("", migration.sql)
    for now, before in REWRITTEN.items():
        text = text.replace(now, before)
    return text


def migrate_as_before(url: str, texts: list[str]) -> None:
    """What an earlier release's `beacon migrate` did and remembered: one text for each migration, from the first on."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            b"CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
            b" applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        for migration, text in zip(migrations(), texts, strict=False):
            for statement in text.split(";") if migration.is_outside else [text]:
                conn.execute(statement.encode())
            conn.execute(
                b"INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                [migration.version, migration.name, hashlib.sha256(text.encode()).hexdigest()],
            )


@pytest.mark.parametrize("migration", NAMED, ids=lambda it: it.name)
def test_an_earlier_text_is_known_by_its_checksum(migration: Migration) -> None:
    assert hashlib.sha256(earlier(migration).encode()).hexdigest() in migration.superseded


def test_an_installed_database_comes_to_the_schema_of_an_empty_one(empty_database_url: str, database_url: str) -> None:
    """The last whose texts named `public`."""
    migrate_as_before(empty_database_url, [earlier(it) for it in migrations()[:MIGRATIONS_BEFORE_CELLS]])
    assert migrate(empty_database_url) == latest() - MIGRATIONS_BEFORE_CELLS
    assert dump(empty_database_url) == dump(database_url) == SCHEMA.read_text("utf-8")


def test_a_database_of_the_first_release_comes_to_it_too(empty_database_url: str) -> None:
    texts = [earlier(migration) for migration in migrations()[:5]]
    texts[2] = ROLES_OF_THE_FIRST_RELEASE.read_text("utf-8")
    migrate_as_before(empty_database_url, texts)
    assert migrate(empty_database_url) == latest() - 5
    assert dump(empty_database_url) == SCHEMA.read_text("utf-8")


def test_another_text_of_the_third_migration_is_refused(empty_database_url: str) -> None:
    migrate_as_before(empty_database_url, [earlier(migration) for migration in migrations()[:5]])
    with psycopg.connect(empty_database_url, autocommit=True) as conn:
        conn.execute(b"UPDATE schema_migrations SET checksum = 'other' WHERE version = 3")
    with pytest.raises(MigrationError, match="migration 3 was changed after it was applied"):
        migrate(empty_database_url)
