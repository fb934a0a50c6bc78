"""The servers of a failover's row: a standby, asynchronous or synchronous, an address that moves, or Sentinels."""

import time
from pathlib import Path

import psycopg

from bench.chaos.deployment import Addresses, Servers, through_proxies
from runner_cli.embedded import EmbeddedPostgres
from tests.sentinels import watched

DOWN_AFTER_MS = 3000  # of the Sentinels


def asynchronous(servers: Servers) -> Addresses:
    """Start a standby. The processes' address names both servers, the primary first."""
    standby = servers.standby.start()
    first = f"@{servers.postgres.host}:{servers.postgres.port}"
    database = servers.postgres.url.replace(first, f"{first},{standby.host}:{standby.port}")
    return Addresses(database, through_proxies(servers).redis, servers.valkey)


def synchronous(servers: Servers) -> Addresses:
    """As `asynchronous`, but a commit waits for the standby. The standby, once promoted, waits for nobody."""
    found = asynchronous(servers)
    _wait_for_copies(servers.postgres)
    return found


def relayed(servers: Servers) -> Addresses:
    """Start a synchronous standby. The processes' address is one that moves."""
    synchronous(servers)
    return through_proxies(servers)


def guarded(servers: Servers) -> Addresses:
    """Start two Valkeys and three Sentinels, which REDIS_URL names."""
    made: list[Path] = []

    def folder() -> Path:
        made.append(servers.home / f"redis-{len(made)}")
        made[-1].mkdir(mode=0o711)
        return made[-1]

    found = servers.stop.enter_context(watched(folder, DOWN_AFTER_MS))
    return Addresses(through_proxies(servers).database, found.url, found.servers[0])


def _wait_for_copies(primary: EmbeddedPostgres) -> None:
    """Let a commit wait for one standby; return when there is one."""
    tell(primary, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'", "SELECT pg_reload_conf()")
    with psycopg.connect(primary.url, autocommit=True) as conn:
        while not conn.execute(b"SELECT 1 FROM pg_stat_replication WHERE sync_state = 'quorum'").fetchone():
            conn.execute(b"SELECT pg_logical_emit_message(true, 'chaos', 'the standby answers what it gets')")
            time.sleep(0.05)


def tell(server: EmbeddedPostgres, *statements: str) -> None:
    """Run statements on a server, each in a transaction of its own."""
    with psycopg.connect(server.url, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())
