"""Real servers for the tests: one PostgreSQL and one Valkey a session, started by the product's own launcher.

A database per test is a copy of a template that was migrated once, so commits and locks are real and nothing has to
be cleaned up. Set TEST_DATABASE_URL (a superuser's) and TEST_REDIS_URL to run against servers of your own, or
TEST_SERVERS=pooler to put what `stack` starts behind PgBouncer (tests/pooler.py), or TEST_SCHEMA=cell_one to have all
tables in a schema of that name. CITUS_TEST_URL, the owner's URL of a database, gives each test a schema of its own in
that database, and its stack one login: Citus copies no database as a template, and refuses several logins. Where a
server can't run, the tests that need it are skipped with a line, and fail when CI is set.
"""

import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pytest_postgresql.janitor import DatabaseJanitor

from tests.cells import CELL, database_of, in_cell, own_schema
from tests.server_files import make_folder

if TYPE_CHECKING:
    from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
    from runner_cli.local import Local

_numbers = itertools.count(1)
CITUS_URL = os.environ.get("CITUS_TEST_URL", "")
# Debian keeps servers out of a user's PATH.
SYSTEM_PATH = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
)


def _url(*, host: str, port: int | str, user: str, password: str | None, dbname: str, **_: Any) -> str:
    return f"postgresql://{user}:{password or ''}@{host}:{port}/{dbname}"


def _missing(reason: str) -> NoReturn:
    """Fail in CI, where everything has been installed; skip on a laptop."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(program): a system package's program; skipped where it is missing")
    # A shell starts what is put in its background with SIGINT ignored, and what tests interrupt would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Everything runs side by side, each place with servers of its own; what was chosen runs here, and at once.

    One place more than CPUs, because tests wait more than they compute."""
    chosen = config.args_source is config.ArgsSource.ARGS or config.option.keyword or config.option.markexpr
    # On one server the places would change each other's passwords: a login belongs to all databases.
    given = CITUS_URL or os.environ.get("TEST_DATABASE_URL") or os.environ.get("TEST_REDIS_URL")
    return 0 if chosen or given else min(8, (os.cpu_count() or 1) + 1)


def _need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program, path=SYSTEM_PATH):
            _missing(f"needs {program}, a program of the system's packages")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        _need(*marker.args)


@dataclass(frozen=True)
class Servers:
    """Where the session's servers are, and PgBouncer's port where the processes reach PostgreSQL through it."""

    host: str
    port: int
    user: str
    password: str
    redis_url: str
    pooler_port: int = 0

    def through_pooler(self, database_url: str) -> str:
        """The same database through PgBouncer, where there is one."""
        return database_url.replace(f":{self.port}/", f":{self.pooler_port or self.port}/")


@pytest.fixture(scope="session")
def make_home() -> Iterator[Callable[[], Path]]:
    """Makes folders that the servers' user can reach, which pytest's tmp_path is not when root runs the tests."""
    made: list[Path] = []

    def make() -> Path:
        made.append(make_folder())
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(make_home: Callable[[], Path]) -> Path:
    """A fresh home for servers and processes."""
    return make_home()


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest, make_home: Callable[[], Path]) -> Iterator[Servers]:
    """The session's PostgreSQL and Valkey; with TEST_SERVERS=pooler, PgBouncer, PostgreSQL 15 and Redis 7."""
    from runner_cli.binaries import EmbeddedError
    from runner_cli.child import ChildError
    from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
    from tests.pooler import pgbouncer, system_programs

    home = make_home()
    pooled = getattr(request, "param", os.environ.get("TEST_SERVERS")) == "pooler"
    with ExitStack() as stop:
        try:
            if pooled:
                _need("pgbouncer", "postgres", "redis-server")
                stop.enter_context(system_programs())
            url, port = CITUS_URL or os.environ.get("TEST_DATABASE_URL"), 0
            if pooled or not url:
                postgres = EmbeddedPostgres(home)
                stop.callback(postgres.stop)
                url = postgres.start()
            if pooled:
                port = stop.enter_context(pgbouncer(home, postgres))
            redis_url = os.environ.get("TEST_REDIS_URL")
            if pooled or not redis_url:
                # A numbered database for every test; an empty one costs nothing.
                valkey = EmbeddedValkey(home, {"databases": "4096"})
                stop.callback(valkey.stop)
                redis_url = valkey.start()
        except (EmbeddedError, ChildError) as error:
            _missing(error.detail)
        at: dict[str, Any] = conninfo_to_dict(url)
        where = (at.get("host", "127.0.0.1"), int(at.get("port", 5432)), at["user"], at.get("password", ""))
        yield Servers(*where, redis_url, port)


@contextmanager
def _database(servers: Servers, template: str | None = None, *, as_template: bool = False) -> Iterator[str]:
    """A database made from `template`; dropped at the end, whoever is connected."""
    if CITUS_URL:
        with own_schema(CITUS_URL, f"test_{os.getpid()}_{next(_numbers)}", migrated=bool(template)) as url:
            yield url
        return
    # Named anew each time: what outlives its test must not wander into the next one's database.
    where: dict[str, Any] = {
        "host": servers.host,
        "port": servers.port,
        "user": servers.user,
        "password": servers.password,
        "dbname": f"test_{os.getpid()}_{next(_numbers)}",
    }
    with DatabaseJanitor(template_dbname=template, as_template=as_template, **where):
        yield in_cell(_url(**where), CELL.schema)


@pytest.fixture(scope="session")
def migrated(servers: Servers) -> Iterator[str]:
    """The owner's URL of the migrated template."""
    from runner_core.migrate import migrate

    with _database(servers, as_template=True) as url:
        migrate(url)
        yield url


@pytest.fixture
def database_url(servers: Servers, migrated: str) -> Iterator[str]:
    """The owner's URL of a fresh, migrated database."""
    with _database(servers, database_of(migrated)) as url:
        yield url


@pytest.fixture(scope="module")
def shared_database_url(servers: Servers, migrated: str) -> Iterator[str]:
    """As `database_url`, but one for all tests of a module: each must bear what the others leave there."""
    with _database(servers, database_of(migrated)) as url:
        yield url


@pytest.fixture
def empty_database_url(servers: Servers) -> Iterator[str]:
    """The owner's URL of a fresh database without our schema."""
    with _database(servers) as url:
        yield url


@pytest.fixture
def conn(database_url: str) -> Iterator["psycopg.Connection[Any]"]:
    """A connection of the owner to this test's database, in autocommit: what it reads is what others committed."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def _empty_redis(servers: Servers) -> str:
    import redis

    with redis.Redis.from_url(servers.redis_url) as client:
        databases = int(client.config_get("databases")["databases"])
    url = f"{servers.redis_url.rsplit('/', 1)[0]}/{next(_numbers) % databases}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """An empty numbered database of the session's Valkey. Never FLUSHALL it or kill it: others share the server."""
    return _empty_redis(servers)


@pytest.fixture
def own_valkey(servers: Servers, make_home: Callable[[], Path]) -> Iterator["EmbeddedValkey"]:
    """A running Valkey of the test's own, to flush, kill and restart."""
    from runner_cli.embedded import EmbeddedValkey

    valkey = EmbeddedValkey(make_home())
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture
def own_postgres(servers: Servers, make_home: Callable[[], Path]) -> Iterator["EmbeddedPostgres"]:
    """A running PostgreSQL of the test's own, without our schema, to restart and crash."""
    from runner_cli.embedded import EmbeddedPostgres

    postgres = EmbeddedPostgres(make_home())
    postgres.start()
    yield postgres
    postgres.stop()


SANDBOX_REGIONS = Path(__file__).parent.parent / "regions/sandbox.toml"


@contextmanager
def _stacks(home: Path, servers: Servers, database_url: str, redis_url: str) -> Iterator[Callable[..., "Local"]]:
    from runner_cli.local import login_urls, running_stack, set_passwords

    with ExitStack() as stop:

        def start(env: dict[str, str] | None = None, **counts: int) -> "Local":
            base = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_URL")}
            reached = servers.through_pooler(database_url)
            if not CITUS_URL:
                set_passwords(home, database_url)
                base |= login_urls(home, reached)
            base |= {
                "BEACON_TEST": "1",
                "DATABASE_URL": reached,
                "DB_POOLER": "transaction" if servers.pooler_port else "",
                "REDIS_URL": redis_url,
                "REGIONS_FILE": str(SANDBOX_REGIONS),
                "ALLOW_SANDBOX": "1",
                "STOP_GRACE_SECONDS": "5",
                **(env or {}),
            }
            return stop.enter_context(running_stack(home, base, counts, max_ends=1_000_000))

        yield start


@pytest.fixture
def stack(home: Path, servers: Servers, database_url: str, redis_url: str) -> Iterator[Callable[..., "Local"]]:
    """Starts the Procfile's real processes, each under its own login, with simulated providers, on free ports.

    stack(worker_us=2, env={"LEASE_SECONDS": "3"}) -> Local; counts by Procfile name, everything stopped after the test.
    What a process writes is in the test's captured output. Kills on purpose do not make this stack give up.
    """
    with _stacks(home, servers, database_url, redis_url) as start:
        yield start


@pytest.fixture(scope="module")
def shared_stack(
    make_home: Callable[[], Path], servers: Servers, shared_database_url: str
) -> Iterator[Callable[..., "Local"]]:
    """As `stack`, but stopped after the module; a test that starts another meanwhile takes this one's logins away."""
    with _stacks(make_home(), servers, shared_database_url, _empty_redis(servers)) as start:
        yield start
