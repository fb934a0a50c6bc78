"""The stack that the faults strike: the Procfile's processes, their servers, a provider, and a proxy before each."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg.rows import dict_row

from bench.chaos.standby import Standby
from runner_cli.child import free_port, spawn
from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from runner_cli.home import CHECKOUT, make_home
from runner_cli.local import Local, login_urls, running_stack, set_passwords
from runner_core.migrate import migrate
from tests.http_requests import request
from tests.loopback_regions import write_regions
from tests.proxy import Proxy

COUNTS = {"publisher": 2, "worker_us": 2, "worker_eu": 2, "worker_asia": 2}
# Seconds that an answer takes; long, so that there is always a call in flight that a fault can interrupt.
ANSWER_SECONDS = {"US": 0.4, "EU": 0.7, "ASIA": 1.0}


@dataclass(frozen=True)
class Servers:
    """The servers of a stack before its processes start. `stop` ends what an arrangement starts besides."""

    home: Path
    stop: contextlib.ExitStack
    postgres: EmbeddedPostgres
    standby: Standby
    valkey: EmbeddedValkey
    proxies: dict[str, Proxy]


@dataclass(frozen=True)
class Addresses:
    """DATABASE_URL of the owner and REDIS_URL, as the processes get them; `valkey` is the Redis behind the latter."""

    database: str
    redis: str
    valkey: EmbeddedValkey


def through_proxies(servers: Servers) -> Addresses:
    """Return addresses that lead through a proxy before each server."""
    database = through(servers.proxies["postgres"], servers.postgres.url)
    return Addresses(database, through(servers.proxies["redis"], servers.valkey.url), servers.valkey)


@dataclass
class Deployment:
    """The running stack. `lease_seconds`: the workers' setting. `fenced`: Unix times at which a worker lost a lease.

    `postgres` and `valkey` are the primaries: a fault that promotes another server replaces them.
    """

    home: Path
    lease_seconds: float
    postgres: EmbeddedPostgres
    standby: Standby  # of `postgres`; it runs only while a fault needs it
    valkey: EmbeddedValkey
    proxies: dict[str, Proxy]
    provider_url: str
    calls: Path  # the provider's own log, one JSON line a call
    local: Local
    fenced: list[float] = field(default_factory=list)
    answer_seconds: Mapping[str, float] = field(default_factory=lambda: ANSWER_SECONDS)

    @property
    def api_url(self) -> str:
        """Return the API's URL for clients, which leads through its proxy."""
        return f"http://127.0.0.1:{self.proxies['api'].port}"

    def ask(self, query: str, *params: Any) -> list[dict[str, Any]]:
        """Run a query as the owner, without the proxy. Raises psycopg.OperationalError while the database is down."""
        with psycopg.connect(self.postgres.url, autocommit=True, row_factory=dict_row, connect_timeout=30) as conn:
            return conn.execute(query, params or None).fetchall()

    def pids(self, kind: str) -> dict[str, int]:
        """Return the running processes whose names begin with `kind`."""
        return {p.name: p.pid for p in self.local.stack.processes() if p.name.startswith(kind) and p.pid}

    def leases(self) -> dict[int, int]:
        """Return how many live leases each worker holds, by its pid. The pid is part of the worker's name."""
        held = self.ask(LEASES)
        return {int(row["worker"].rsplit("-", 2)[1]): row["held"] for row in held}

    def flush(self) -> None:
        """Empty Redis by FLUSHALL."""
        with redis.Redis.from_url(self.valkey.url) as client:
            client.flushall()

    def queued(self, *regions: str) -> int:
        """Return how many messages wait in the queues of these regions."""
        with redis.Redis.from_url(self.valkey.url) as client:
            return sum(int(client.llen(f"rq:queue:beacon-{region.lower()}")) for region in regions)

    def open_regions(self) -> int:
        """Return how many region runs have not finished."""
        return int(self.ask(OPEN)[0]["open"])

    def release_answers(self) -> None:
        """Let the provider end its hanging calls."""
        request("POST", f"{self.provider_url}/_control/release", b"{}")

    def lead_database_to(self, server: EmbeddedPostgres) -> None:
        """Move the database's address to `server`, and reset the connections that are open."""
        self.proxies["postgres"].lead_to(server.host, server.port)
        self.proxies["postgres"].cut()

    def heal(self) -> None:
        """End the fault of every proxy, and start the servers that are down."""
        for proxy in self.proxies.values():
            proxy.heal()
        self.local.servers.revive()
        for name in self.pids(""):
            with contextlib.suppress(Exception):
                self.local.stack.signal(name, signal.SIGCONT)


@contextlib.contextmanager
def running_deployment(
    home: Path,
    settings: Mapping[str, str],
    counts: Mapping[str, int] = COUNTS,
    answer_seconds: Mapping[str, float] = ANSWER_SECONDS,
    fill: Callable[[str], object] = migrate,
    arrange: Callable[[Servers], Addresses] = through_proxies,
) -> Iterator[Deployment]:
    """Start the stack and wait until it accepts jobs; stop it at the end. `settings` go to every process.

    `fill(url)` gives the empty database its tables. `arrange` prepares the servers, and says by which addresses the
    processes reach them.
    """
    make_home(home)
    with contextlib.ExitStack() as stop:
        postgres, valkey = EmbeddedPostgres(home), EmbeddedValkey(home)
        stop.callback(postgres.stop)
        postgres.start()
        stop.callback(valkey.stop)
        valkey.start()
        standby = Standby(home, postgres)
        stop.callback(standby.stop)
        fill(postgres.url)
        set_passwords(home, postgres.url)
        calls, provider_port = home / "calls.jsonl", free_port()
        provider = spawn(
            [sys.executable, "-m", "tests.provider_server", "--port", str(provider_port), "--log", str(calls)],
            death_signal=signal.SIGTERM,
            cwd=CHECKOUT,
            stdout=subprocess.DEVNULL,
        )
        stop.callback(provider.kill)
        provider_url = f"http://127.0.0.1:{provider_port}"
        set_rules(provider_url, slow_answers(answer_seconds))
        proxies = {
            "postgres": Proxy(postgres.host, postgres.port),
            "redis": Proxy(valkey.host, valkey.port),
            "provider": Proxy("127.0.0.1", provider_port),
            "api": Proxy("127.0.0.1", api_port := free_port()),
        }
        for proxy in proxies.values():
            stop.callback(proxy.close)
        addresses = arrange(Servers(home, stop, postgres, standby, valkey, proxies))
        regions = write_regions(home / "regions.toml", f"http://127.0.0.1:{proxies['provider'].port}")
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_URL", "BEACON_"))},
            "DATABASE_URL": postgres.url,
            "REDIS_URL": addresses.redis,
            **login_urls(home, addresses.database),
            "REGIONS_FILE": str(regions),
            "PORT": str(api_port),
            "STOP_GRACE_SECONDS": "5",
            **settings,
        }
        fenced: list[float] = []
        lock = threading.Lock()

        def listen(_: str, line: str) -> None:
            if "lease lost" in line:
                with lock:
                    fenced.append(time.time())

        # The faults end processes often, and the supervisor must not give up.
        local = stop.enter_context(running_stack(home, env, counts, on_line=listen, max_ends=1_000_000))
        local.servers.embedded.extend([postgres, valkey])
        lease_seconds = float(settings.get("LEASE_SECONDS", 15))
        yield Deployment(
            home,
            lease_seconds,
            postgres,
            standby,
            addresses.valkey,
            proxies,
            provider_url,
            calls,
            local,
            fenced,
            answer_seconds,
        )


def set_rules(provider_url: str, rules: list[dict[str, Any]], patience_seconds: float = 60.0) -> None:
    """Set the provider's rules. Wait until the provider listens."""
    deadline = time.monotonic() + patience_seconds
    body = json.dumps(rules).encode()
    while request("PUT", f"{provider_url}/_control/rules", body)[0] != 200:
        if time.monotonic() > deadline:
            raise RuntimeError("the provider does not listen")
        time.sleep(0.05)


def slow_answers(seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the rules for right answers, with a delay for each region."""
    return [{"fault": "none", "match": {"path": f"/{region}/"}, "delay": delay} for region, delay in seconds.items()]


# The first rule that matches is applied, so about a third of the calls is answered well.
FAILURES: list[dict[str, Any]] = [
    {"fault": "status", "status": 503, "probability": 0.3},
    {"fault": "status", "status": 429, "retry_after": 1, "probability": 0.3},
    {"fault": "cut_body", "probability": 0.2},
    {"fault": "reset", "probability": 0.2},
]


def through(proxy: Proxy, url: str) -> str:
    """Return `url` with the proxy's address."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"))


LEASES = """SELECT worker, count(*) AS held FROM region_runs
             WHERE lease_token IS NOT NULL AND lease_expires_at > clock_timestamp() GROUP BY worker"""
OPEN = """SELECT count(*) AS open FROM jobs j CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
            LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
           WHERE j.status IN ('queued', 'running') AND r.finished_at IS NULL"""
