"""The site of a lane and the environment of its processes: short leases and limits, and one provider a region."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

ADMIN = "crash-points-administrator-0123456789abcdef"
REGIONS = ("US", "EU")
# Longer than any client waits: DB_WRITE_TIMEOUT_MS below, one second that is added to it, and the half second between
# two checks of the watchdog.
LATE_SECONDS = 2.1
# A job's time limit for a call, long because a busy machine may need seconds before the call. A late answer comes
# after the limit.
PROVIDER_SECONDS, LATE_ANSWER_SECONDS = 4, 5.0
SETTINGS = {
    "BEACON_TEST": "1",
    "LEASE_SECONDS": "1",
    "HEARTBEAT_SECONDS": "0.25",
    "DB_WRITE_TIMEOUT_MS": "400",
    "OUTBOX_POLL_MS": "250",
    "OUTBOX_DEAD_AFTER_SECONDS": "0",
    "REDIS_TIMEOUT_SECONDS": "0.8",
    "STOP_GRACE_SECONDS": "0.6",
    "PROBE_SECONDS": "10",
    "FRESHNESS_ENFORCE": "0",
    "ALLOW_SANDBOX": "1",
    "CONCURRENCY": "8",
    "DB_POOL_MAX": "4",
    "METRICS_PORT": "0",
}
FIRST_PORT, PORTS = 20_000, 500  # below the ports that the system chooses


@dataclass(frozen=True)
class Site:
    """The folder and databases of a lane. `number` is unique in the run. `url`: for the database's owner.
    `maintenance_url`: another database of the server. `template`: a migrated database without connections."""

    number: int
    folder: Path
    url: str
    maintenance_url: str
    template: str
    redis_url: str
    logins: Mapping[str, str]


def environment(site: Site, kind: str, ports: Mapping[str, int], provider_port: int) -> dict[str, str]:
    """Return a process's environment. `ports` replaces the ports of the servers that it names."""
    regions = site.folder / f"{kind}.toml"
    regions.write_text(regions_file(f"http://127.0.0.1:{ports.get('provider', provider_port)}"))
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        **SETTINGS,
        "TRUSTED_KEYS_FILE": str(site.folder / "keys.json"),
        "ADMIN_TOKENS": f"crash:{ADMIN}",
        "REGIONS_FILE": str(regions),
        "REDIS_URL": moved(site.redis_url, ports.get("redis")),
        "DATABASE_URL": moved(site.url, ports.get("postgres")),
        **{name: moved(url, ports.get("postgres")) for name, url in site.logins.items()},
    }


def regions_file(provider_url: str) -> str:
    """Return a regions file with US and EU, each with one HTTP provider."""
    lines = ['default_model = "m1"', "[questions]", 'q1 = "What is one?"', 'q2 = "What is two?"']
    for region in REGIONS:
        lines += [f"[regions.{region}]", f'display = "{region}"', f'system_prompt = "You answer for {region}."']
    for region in REGIONS:
        lines += [
            *("[[providers]]", f'id = "provider-{region.lower()}"', f'region = "{region}"', 'kind = "openai"'),
            *(f'base_url = "{provider_url}/{region}/v1"', "max_concurrency = 8", 'models = { m1 = "m1" }'),
        ]
    return "\n".join(lines) + "\n"


def moved(url: str, port: int | None) -> str:
    """Return `url` with another port."""
    if port is None:
        return url
    parts = urlsplit(url)
    head, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{head}{at}127.0.0.1:{port}"))
