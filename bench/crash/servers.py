"""Starts the servers of a run, with a database of each for every lane."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from bench.crash.environment import Site
from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from runner_cli.home import make_home
from runner_cli.local import login_urls, set_passwords
from runner_core.migrate import migrate

# No server is killed here, so nothing has to reach the disk. One SCRAM iteration instead of 4,096, because a run makes
# thousands of connections.
POSTGRES = {"fsync": "off", "full_page_writes": "off", "scram_iterations": "1", "max_connections": "500"}
VALKEY = {"appendonly": "no", "databases": "32"}


@contextlib.contextmanager
def servers(home: Path, lanes: int) -> Iterator[list[Site]]:
    """Start PostgreSQL and Valkey in `home`, with one database of each for every lane; stop them after the block."""
    home.chmod(0o711)
    make_home(home)
    with contextlib.ExitStack() as stop:
        postgres = EmbeddedPostgres(home, POSTGRES)
        stop.callback(postgres.stop)
        postgres.start()
        valkey = EmbeddedValkey(home, VALKEY)
        stop.callback(valkey.stop)
        valkey.start()
        migrate(postgres.url)
        set_passwords(home, postgres.url)
        yield [_site(home, postgres.url, valkey.url, number) for number in range(1, lanes + 1)]


def _site(home: Path, url: str, redis_url: str, number: int) -> Site:
    own = urlunsplit(urlsplit(url)._replace(path=f"/lane{number}"))
    template = urlsplit(url).path.strip("/")
    maintenance = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    with psycopg.connect(maintenance, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE lane{number} TEMPLATE {template}".encode())
    migrate(own)
    redis_of_lane = f"{redis_url.rsplit('/', 1)[0]}/{number}"
    return Site(number, home / f"lane{number}", own, maintenance, template, redis_of_lane, login_urls(home, own))
