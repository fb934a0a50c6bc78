"""The migrations: of an empty database, and a second time. The deployment repeats a migration that failed."""

from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

import psycopg

from bench.crash.lane import Lane
from bench.crash.verb import Story, Verb
from runner_core.migrate import migrations

MIGRATING = ("migrations.", "rights.", "preflight.")


def fresh(lane: Lane, story: Story, template: str = "template0") -> None:
    """Create an empty database."""
    name = f"{urlsplit(lane.site.url).path.strip('/')}_fresh"
    with psycopg.connect(lane.site.maintenance_url, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    story.facts["database"] = name


def migrated(lane: Lane, story: Story) -> None:
    """Create a database that is already migrated."""
    fresh(lane, story, lane.site.template)


def deploy(lane: Lane, story: Story) -> None:
    """Start a migration; `deployed` repeats it until it succeeds."""
    story.facts["migrating"] = lane.victim("migrate", DATABASE_URL=_url(lane, story, lane.tapped))


def is_over(lane: Lane, story: Story) -> bool:
    """Return whether the process has ended."""
    return bool(story.facts["migrating"].has_ended())


def deployed(lane: Lane, story: Story) -> bool:
    """Return whether the migration has succeeded; if its process has ended without success, start it again."""
    if not is_over(lane, story):
        return False
    if "migrate: done" in lane.said():
        return True
    story.facts["repeated"] = True
    story.facts["migrating"] = lane.victim("migrate", DATABASE_URL=_url(lane, story, lane.direct))
    return False


def is_whole(lane: Lane, story: Story) -> Iterable[str]:
    """Check that the database has each migration once, the whole schema and no connections."""
    with psycopg.connect(_url(lane, story, lane.direct), autocommit=True) as conn:
        versions = [row[0] for row in conn.execute("SELECT version FROM schema_migrations ORDER BY version")]
        here = conn.execute(THINGS).fetchall()
        left = conn.execute(SESSIONS).fetchall()
    if versions != [migration.version for migration in migrations()]:
        yield f"the migrations {versions} are applied"
    if here != [tuple(row.values()) for row in lane.ask(THINGS)]:
        yield "the schema is another than that of a database that was migrated without a fault"
    if left:
        yield f"{left} is still connected"


def _url(lane: Lane, story: Story, env: dict[str, str]) -> str:
    return urlunsplit(urlsplit(env["DATABASE_URL"])._replace(path=f"/{story.facts['database']}"))


THINGS = """
SELECT kind, name, rights FROM (
  SELECT relkind::text AS kind, relname::text AS name, relacl::text AS rights FROM pg_class
   WHERE relnamespace = current_schema()::regnamespace
  UNION ALL
  SELECT 'f', p.oid::regprocedure::text, proacl::text FROM pg_proc p WHERE pronamespace = current_schema()::regnamespace
  UNION ALL
  SELECT 't', tgrelid::regclass || ' ' || tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL
  SELECT 'c', conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
   WHERE connamespace = current_schema()::regnamespace) AS things
 ORDER BY kind, name, rights"""
SESSIONS = """
SELECT application_name, state FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""

VERBS = [
    # The first verb cuts the migrations themselves, the second one the beginning and the end of a deployment.
    Verb("migrate: a fresh database", fresh, deploy, is_over, ("migrations.record",), others=(), ended=deployed,
         check=is_whole, elsewhere=("BEGIN", "db.settings", "migrations.lock"), repeats=()),
    Verb("migrate: a second time", migrated, deploy, is_over, MIGRATING, others=(), ended=deployed, check=is_whole,
         repeats=()),
]  # fmt: skip
