"""The groups of settings: each field with its variable, its default and its bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from runner_core.addresses import (
    API_HOST,
    API_PORT,
    DATABASE_FORM,
    api_bind,
    database_mistake,
    require_tls,
)
from runner_core.cells import Cell, cell_of
from runner_core.environment import EnvironmentReader
from runner_core.secret_files import LOGINS, PROCESSES


@dataclass(frozen=True)
class DatabaseSettings:
    """The address of PostgreSQL, and the limits of its connections."""

    url: str
    listen_url: str
    audit: bool
    pool_max: int
    pool_max_idle_seconds: int
    write_timeout_ms: int
    pooler: str

    @property
    def cell(self) -> Cell:
        """Return the cell that the URL names."""
        return cell_of(self.url)

    @classmethod
    def read(cls, env: EnvironmentReader, process: str | None, *, test: bool) -> Self:
        """Read the group. If `process` has its own database URL, that is used instead of DATABASE_URL."""
        urls = {name: env.address(name, database_mistake) for name in ("DATABASE_URL", *LOGINS)}
        own = urls[f"DATABASE_URL_{process.upper()}"] if process in PROCESSES else ""
        if process is not None and not own and not env.is_set("DATABASE_URL"):
            env.mistakes.append(f"DATABASE_URL is not set: set it to {DATABASE_FORM}")
        url, listen_url = own or urls["DATABASE_URL"], env.address("LISTEN_DATABASE_URL", database_mistake)
        if listen_url and cell_of(listen_url) != cell_of(url):
            env.mistakes.append(
                "LISTEN_DATABASE_URL names another schema than the URL of the database: use one search_path"
            )
        return cls(
            url=require_tls(url),
            listen_url=require_tls(listen_url),
            audit=env.flag("DB_AUDIT", False),
            pool_max=env.integer("DB_POOL_MAX", 10, 1, 1000),
            pool_max_idle_seconds=env.integer("DB_POOL_MAX_IDLE_SECONDS", 300, 1, 86400),
            write_timeout_ms=env.integer("DB_WRITE_TIMEOUT_MS", 5000, 100 if test else 5000, 8000),
            pooler=env.choice("DB_POOLER", ("", "transaction")),
        )


@dataclass(frozen=True)
class RedisSettings:
    """The address of Redis and its timeout, for the publisher and the workers."""

    url: str
    timeout_seconds: float

    @classmethod
    def read(cls, env: EnvironmentReader) -> Self:
        """Read the group. The URL is checked in runner_queue/addresses.py."""
        return cls(
            url=env.secret("REDIS_URL"),
            timeout_seconds=env.number("REDIS_TIMEOUT_SECONDS", 5, 0.1, 60),
        )


@dataclass(frozen=True)
class ApiSettings:
    """The API's address and threads, and its access rules."""

    trusted_keys_file: str
    trust_enforce: bool
    freshness_enforce: bool
    allow_unsigned: bool
    admin_tokens: Mapping[str, str]
    read_tokens: Mapping[str, str]
    login_code_file: str
    cors_origins: tuple[str, ...]
    bind: str
    web_concurrency: int
    web_threads: int

    @classmethod
    def read(cls, env: EnvironmentReader) -> Self:
        """Read the group."""
        env.text("BIND", f"{API_HOST}:{API_PORT}")
        env.text("PORT", str(API_PORT))
        return cls(
            trusted_keys_file=env.text("TRUSTED_KEYS_FILE"),
            trust_enforce=env.flag("TRUST_ENFORCE", True),
            freshness_enforce=env.flag("FRESHNESS_ENFORCE", True),
            allow_unsigned=env.flag("ALLOW_UNSIGNED", False),
            admin_tokens=env.tokens("ADMIN_TOKENS"),
            read_tokens=env.tokens("READ_TOKENS"),
            login_code_file=env.text("LOGIN_CODE_FILE"),
            cors_origins=tuple(filter(None, (o.strip() for o in env.text("CORS_ORIGINS").split(",")))),
            bind=env.mistakes.of(lambda: api_bind(env.env)) or "",
            web_concurrency=env.integer("WEB_CONCURRENCY", 2, 1, 256),
            # Many, because most threads wait for an event stream or a changed job, and cost only their stack.
            web_threads=env.integer("WEB_THREADS", 128, 1, 4096),
        )


@dataclass(frozen=True)
class OutboxSettings:
    """The rules for publishing, giving up and removing messages."""

    batch: int
    poll_ms: int
    max_attempts: int
    dead_after_seconds: int
    retention_days: int

    @classmethod
    def read(cls, env: EnvironmentReader) -> Self:
        """Read the group."""
        return cls(
            batch=env.integer("OUTBOX_BATCH", 100, 1, 10_000),
            poll_ms=env.integer("OUTBOX_POLL_MS", 250, 10, 60_000),
            max_attempts=env.integer("OUTBOX_MAX_ATTEMPTS", 10, 1, 1000),
            dead_after_seconds=env.integer("OUTBOX_DEAD_AFTER_SECONDS", 600, 0, 86400),
            retention_days=env.integer("OUTBOX_RETENTION_DAYS", 7, 1, 3650),
        )


@dataclass(frozen=True)
class JobSettings:
    """The rules of jobs and their region runs, which all processes share."""

    lease_seconds: float
    heartbeat_seconds: float
    region_max_attempts: int
    queue_timeout_seconds: int
    retention_days: int | None
    regions_file: str
    allow_sandbox: bool

    @classmethod
    def read(cls, env: EnvironmentReader, *, test: bool) -> Self:
        """Read the group."""
        found = cls(
            lease_seconds=env.number("LEASE_SECONDS", 15, 0.05 if test else 3, 3600),
            heartbeat_seconds=env.number("HEARTBEAT_SECONDS", 5, 0.01 if test else 1, 1200),
            region_max_attempts=env.integer("REGION_MAX_ATTEMPTS", 3, 1, 100),
            queue_timeout_seconds=env.integer("QUEUE_TIMEOUT_SECONDS", 86400, 1, 30 * 86400),
            retention_days=env.optional_integer("JOB_RETENTION_DAYS", 1, 36500),
            regions_file=env.text("REGIONS_FILE"),
            allow_sandbox=env.flag("ALLOW_SANDBOX", False),
        )
        if found.heartbeat_seconds * 2 > found.lease_seconds:
            env.mistakes.append(
                "HEARTBEAT_SECONDS must be at most half of LEASE_SECONDS, or one lost heartbeat loses the lease"
            )
        return found

    @property
    def overdue_grace_seconds(self) -> float:
        """The seconds past its last deadline after which a job is told as overdue: the sweeper needs up to three leases
        to end a region run whose worker has died."""
        return 3 * self.lease_seconds


@dataclass(frozen=True)
class WorkerSettings:
    """The limits of a worker, and its rules for calls to providers."""

    concurrency: int
    claim_batch: int
    provider_max_tries: int
    breaker_seconds: float
    receipt_key_file: str

    @classmethod
    def read(cls, env: EnvironmentReader, *, test: bool) -> Self:
        """Read the group."""
        return cls(
            concurrency=env.integer("CONCURRENCY", 256, 1, 10_000),
            claim_batch=env.integer("CLAIM_BATCH", 100, 1, 1000),
            provider_max_tries=env.integer("PROVIDER_MAX_TRIES", 3, 1, 20),
            breaker_seconds=env.number("BREAKER_SECONDS", 30, 0.05 if test else 30, 600),
            receipt_key_file=env.text("RECEIPT_KEY_FILE"),
        )


@dataclass(frozen=True)
class ProcessSettings:
    """The settings for start, stop, logs and metrics of every process."""

    metrics_port: int
    metrics_host: str
    log_json: bool
    stop_grace_seconds: float
    probe_seconds: float
    stall_seconds: float

    @classmethod
    def read(cls, env: EnvironmentReader, *, test: bool) -> Self:
        """Read the group."""
        return cls(
            metrics_port=env.integer("METRICS_PORT", 0, 0, 65535),
            metrics_host=env.text("METRICS_HOST", "127.0.0.1"),
            log_json=env.flag("LOG_JSON", False),
            stop_grace_seconds=env.number("STOP_GRACE_SECONDS", 20, 0, 3600),
            probe_seconds=env.number("PROBE_SECONDS", 60, 0, 3600),
            stall_seconds=env.number("STALL_SECONDS", 120, 0.05 if test else 60, 3600),
        )
