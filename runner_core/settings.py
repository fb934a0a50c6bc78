"""The configuration: environment variables only, read once, all mistakes reported together."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from runner_core.addresses import database_mistake
from runner_core.errors import ConfigError

N = TypeVar("N", int, float)

PROCESSES = ("api", "publisher", "worker")
LOCAL_HOSTS = frozenset({"", "localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Settings:
    """Every setting of every process; docs/configuration.md says what each is for.

    Durations carry their unit in the name. Each process reads all of it and uses its part.
    """

    database_url: str
    listen_database_url: str
    redis_url: str
    db_audit: bool
    db_pool_max: int
    db_pool_max_idle_seconds: int
    db_write_timeout_ms: int
    db_pooler: str
    trusted_keys_file: str
    trust_enforce: bool
    freshness_enforce: bool
    allow_unsigned: bool
    allow_sandbox: bool
    admin_tokens: Mapping[str, str]
    read_tokens: Mapping[str, str]
    cors_origins: tuple[str, ...]
    outbox_batch: int
    outbox_poll_ms: int
    outbox_max_attempts: int
    outbox_dead_after_seconds: int
    redis_timeout_seconds: float
    lease_seconds: float
    heartbeat_seconds: float
    region_max_attempts: int
    provider_max_tries: int
    breaker_seconds: float
    queue_timeout_seconds: int
    regions_file: str
    receipt_key_file: str
    metrics_port: int
    metrics_host: str
    log_json: bool
    stop_grace_seconds: float
    job_retention_days: int | None
    outbox_retention_days: int
    concurrency: int
    claim_batch: int
    probe_seconds: float

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ, process: str | None = None) -> "Settings":
        """Read the environment; `process` picks that process's own database login where one is given.

        What REDIS_URL may be is decided where Redis is used: a process that uses it reads its settings by
        `runner_queue.addresses.settings_from`.

        Raises ConfigError with every mistake found, one sentence each.
        """
        read = _Reader(env)
        test = read.flag("BEACON_TEST", False)
        own = f"DATABASE_URL_{process.upper()}" if process in PROCESSES else ""
        settings = cls(
            database_url=require_tls((own and read.text(own)) or read.text("DATABASE_URL")),
            listen_database_url=require_tls(read.text("LISTEN_DATABASE_URL")),
            redis_url=read.text("REDIS_URL"),
            db_audit=read.flag("DB_AUDIT", False),
            db_pool_max=read.whole("DB_POOL_MAX", 10, 1, 1000),
            db_pool_max_idle_seconds=read.whole("DB_POOL_MAX_IDLE_SECONDS", 300, 1, 86400),
            db_write_timeout_ms=read.whole("DB_WRITE_TIMEOUT_MS", 5000, 100 if test else 5000, 8000),
            db_pooler=read.choice("DB_POOLER", ("", "transaction")),
            trusted_keys_file=read.text("TRUSTED_KEYS_FILE"),
            trust_enforce=read.flag("TRUST_ENFORCE", True),
            freshness_enforce=read.flag("FRESHNESS_ENFORCE", True),
            allow_unsigned=read.flag("ALLOW_UNSIGNED", False),
            allow_sandbox=read.flag("ALLOW_SANDBOX", False),
            admin_tokens=read.tokens("ADMIN_TOKENS"),
            read_tokens=read.tokens("READ_TOKENS"),
            cors_origins=tuple(filter(None, (o.strip() for o in read.text("CORS_ORIGINS").split(",")))),
            outbox_batch=read.whole("OUTBOX_BATCH", 100, 1, 10_000),
            outbox_poll_ms=read.whole("OUTBOX_POLL_MS", 250, 10, 60_000),
            outbox_max_attempts=read.whole("OUTBOX_MAX_ATTEMPTS", 10, 1, 1000),
            outbox_dead_after_seconds=read.whole("OUTBOX_DEAD_AFTER_SECONDS", 600, 0, 86400),
            redis_timeout_seconds=read.number("REDIS_TIMEOUT_SECONDS", 5, 0.1, 60),
            lease_seconds=read.number("LEASE_SECONDS", 15, 0.05 if test else 3, 3600),
            heartbeat_seconds=read.number("HEARTBEAT_SECONDS", 5, 0.01 if test else 1, 1200),
            region_max_attempts=read.whole("REGION_MAX_ATTEMPTS", 3, 1, 100),
            provider_max_tries=read.whole("PROVIDER_MAX_TRIES", 3, 1, 20),
            breaker_seconds=read.number("BREAKER_SECONDS", 30, 0.05 if test else 30, 600),
            queue_timeout_seconds=read.whole("QUEUE_TIMEOUT_SECONDS", 86400, 1, 30 * 86400),
            regions_file=read.text("REGIONS_FILE"),
            receipt_key_file=read.text("RECEIPT_KEY_FILE"),
            metrics_port=read.whole("METRICS_PORT", 0, 0, 65535),
            metrics_host=read.text("METRICS_HOST") or "127.0.0.1",
            log_json=read.flag("LOG_JSON", False),
            stop_grace_seconds=read.number("STOP_GRACE_SECONDS", 20, 0, 3600),
            job_retention_days=read.optional_whole("JOB_RETENTION_DAYS", 1, 36500),
            outbox_retention_days=read.whole("OUTBOX_RETENTION_DAYS", 7, 1, 3650),
            concurrency=read.whole("CONCURRENCY", 64, 1, 2000),
            claim_batch=read.whole("CLAIM_BATCH", 100, 1, 1000),
            probe_seconds=read.number("PROBE_SECONDS", 60, 0, 3600),
        )
        if settings.heartbeat_seconds * 2 > settings.lease_seconds:
            read.mistakes.append(
                "HEARTBEAT_SECONDS must be at most half of LEASE_SECONDS, or one lost heartbeat loses the lease"
            )
        for name in ("DATABASE_URL", *(f"DATABASE_URL_{p.upper()}" for p in PROCESSES), "LISTEN_DATABASE_URL"):
            read.address(name, database_mistake)
        if process is not None and not settings.database_url:
            read.mistakes.append("DATABASE_URL is not set: postgresql://user:password@host:5432/name")
        if read.mistakes:
            raise ConfigError(read.mistakes)
        return settings


def settings_in(env: Mapping[str, str]) -> dict[str, str]:
    """The settings that an environment has, each process's own login among them, as they are written there."""
    names = {field.name.upper() for field in fields(Settings)}
    return {name: env[name] for name in sorted(env) if name in names or name.startswith("DATABASE_URL_")}


def require_tls(url: str) -> str:
    """Return `url` with `sslmode=require` when its host is not local and it names no mode of its own."""
    try:
        where = conninfo_to_dict(url)
    except ProgrammingError:  # database_mistake says what is wrong with it
        return url
    hosts = str(where.get("host") or where.get("hostaddr") or "").split(",")
    if not url or "sslmode" in where or all(host in LOCAL_HOSTS or host.startswith("/") for host in hosts):
        return url
    if "://" not in url:  # libpq's other form: host=... dbname=...
        return f"{url} sslmode=require"
    behind_password = re.sub(r"^\w+://([^@/]*@)?", "", url)
    return f"{url}{'&' if '?' in behind_password else '?'}sslmode=require"


class _Reader:
    """Reads typed values and collects the mistakes, without the values: a secret may stand in the wrong place."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.mistakes: list[str] = []

    def text(self, name: str) -> str:
        return self.env.get(name, "").strip()

    def address(self, name: str, mistake_of: Callable[[str], str]) -> None:
        """Note what is wrong with the address in `name`, where there is one."""
        if (url := self.text(name)) and (mistake := mistake_of(url)):
            self.mistakes.append(f"{name} {mistake}")

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name).lower()
        if value in ("", "1", "true", "yes", "on", "0", "false", "no", "off"):
            return default if not value else value in ("1", "true", "yes", "on")
        self.mistakes.append(f"{name} is neither 1 nor 0")
        return default

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name)
        if value not in allowed:
            self.mistakes.append(f"{name} is not {' or '.join(a or 'unset' for a in allowed)}")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        return self._bounded(name, default, low, high, int)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        return self._bounded(name, default, low, high, float)

    def optional_whole(self, name: str, low: int, high: int) -> int | None:
        return self.whole(name, low, low, high) if self.text(name) else None

    def _bounded(self, name: str, default: N, low: N, high: N, kind: Callable[[str], N]) -> N:
        value = self.text(name)
        if not value:
            return default
        try:
            number = kind(value)
        except ValueError:
            self.mistakes.append(f"{name} is not a number")
            return default
        if not low <= number <= high:
            self.mistakes.append(f"{name} is outside {low}..{high}")
            return default
        return number

    def tokens(self, name: str) -> dict[str, str]:
        """Parse `name:token,name:token`; never repeats a token in a mistake."""
        found: dict[str, str] = {}
        for entry in filter(None, (e.strip() for e in self.text(name).split(","))):
            label, _, token = entry.partition(":")
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", label) or len(token) < 32:
                self.mistakes.append(f"{name}: each entry is name:token with a token of 32 characters or more")
            else:
                found[label] = token
        return found
