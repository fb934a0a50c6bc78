"""The configuration: defaults, bounds, and every mistake in one message."""

from dataclasses import FrozenInstanceError

import pytest

from runner_core.addresses import require_tls
from runner_core.errors import ConfigError
from runner_core.settings import Settings
from runner_queue.addresses import settings_from

URL = "postgresql://u:p@127.0.0.1:5432/beacon"
BASE = {"DATABASE_URL": URL, "REDIS_URL": "redis://127.0.0.1:6379/0"}


def mistakes(process: str | None = None, **env: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        Settings.from_env(BASE | env, process)
    return refused.value.detail.splitlines()


def test_the_defaults_are_the_documented_ones() -> None:
    settings = Settings.from_env(BASE)
    database, jobs, outbox, worker, api = (
        settings.database,
        settings.jobs,
        settings.outbox,
        settings.worker,
        settings.api,
    )
    assert (database.pool_max, database.pool_max_idle_seconds, database.write_timeout_ms) == (10, 300, 5000)
    assert (jobs.lease_seconds, jobs.heartbeat_seconds, jobs.region_max_attempts) == (15, 5, 3)
    assert (outbox.batch, outbox.poll_ms, outbox.max_attempts) == (100, 250, 10)
    assert (worker.provider_max_tries, jobs.queue_timeout_seconds, worker.concurrency) == (3, 86400, 256)
    assert worker.breaker_seconds == 30
    assert api.trust_enforce
    assert api.freshness_enforce
    assert not api.allow_unsigned
    assert not jobs.allow_sandbox
    assert not database.audit
    assert jobs.retention_days is None
    assert (api.bind, api.web_concurrency, api.web_threads) == ("127.0.0.1:8090", 2, 128)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings.from_env(BASE).database.audit = True  # type: ignore[misc]


def test_each_process_may_have_a_login_of_its_own() -> None:
    env = BASE | {"DATABASE_URL_API": "postgresql://api@localhost/b", "DATABASE_URL_WORKER": ""}
    assert Settings.from_env(env, "api").database.url == "postgresql://api@localhost/b"
    assert Settings.from_env(env, "worker").database.url == URL
    assert Settings.from_env(env).database.url == URL


@pytest.mark.parametrize("value", ["5000", "6500", "8000"])
def test_the_write_timeout_is_five_to_eight_seconds(value: str) -> None:
    assert Settings.from_env(BASE | {"DB_WRITE_TIMEOUT_MS": value}).database.write_timeout_ms == int(value)


@pytest.mark.parametrize("value", ["4999", "8001", "0", "-1"])
def test_a_write_timeout_outside_of_that_is_refused(value: str) -> None:
    assert "DB_WRITE_TIMEOUT_MS" in "".join(mistakes(DB_WRITE_TIMEOUT_MS=value))
    with pytest.raises(ConfigError):
        Settings.from_env(BASE | {"DB_WRITE_TIMEOUT_MS": "9000", "BEACON_TEST": "1"})


def test_only_tests_may_be_shorter() -> None:
    short = BASE | {
        "DB_WRITE_TIMEOUT_MS": "200",
        "BREAKER_SECONDS": "2",
        "LEASE_SECONDS": "1",
        "HEARTBEAT_SECONDS": ".3",
    }
    settings = Settings.from_env(short | {"BEACON_TEST": "1"})
    assert settings.database.write_timeout_ms == 200
    assert settings.worker.breaker_seconds == 2
    assert settings.jobs.lease_seconds == 1
    told = mistakes(**short)
    for name in ("DB_WRITE_TIMEOUT_MS", "BREAKER_SECONDS", "LEASE_SECONDS", "HEARTBEAT_SECONDS"):
        assert any(name in line for line in told), name


def test_every_mistake_is_reported_together() -> None:
    told = mistakes(
        DB_WRITE_TIMEOUT_MS="1",
        DB_AUDIT="maybe",
        DB_POOLER="session",
        OUTBOX_BATCH="many",
        LEASE_SECONDS="10",
        HEARTBEAT_SECONDS="6",
        ADMIN_TOKENS="me:short",
        PORT="http",
        WEB_THREADS="0",
    )
    for name in ("PORT", "WEB_THREADS"):
        assert any(name in line for line in told), name
    for name in ("DB_WRITE_TIMEOUT_MS", "DB_AUDIT", "DB_POOLER", "OUTBOX_BATCH", "HEARTBEAT_SECONDS", "ADMIN_TOKENS"):
        assert any(name in line for line in told), name


def test_what_a_process_needs_is_named_when_it_is_missing() -> None:
    with pytest.raises(ConfigError) as refused:
        settings_from({}, "worker")
    assert "DATABASE_URL" in refused.value.detail
    assert "REDIS_URL" in refused.value.detail
    assert Settings.from_env({"DATABASE_URL": URL}, "api").redis.url == "", "the API needs no Redis"
    assert Settings.from_env({}).database.url == ""


def test_a_token_is_never_repeated_in_a_mistake() -> None:
    assert "hunter2" not in "".join(mistakes(ADMIN_TOKENS="me:hunter2"))
    tokens = Settings.from_env(BASE | {"ADMIN_TOKENS": f"me:{'a' * 32}, you:{'b:' * 16}"}).api.admin_tokens
    assert tokens == {"me": "a" * 32, "you": "b:" * 16}


@pytest.mark.parametrize("value", ["nan", "inf", "1e400"])
def test_a_number_must_be_one(value: str) -> None:
    assert any("LEASE_SECONDS" in line for line in mistakes(LEASE_SECONDS=value))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", ""),
        (URL, URL),
        ("postgresql://u@localhost/b", "postgresql://u@localhost/b"),
        ("postgresql://u@[::1]:5432/b", "postgresql://u@[::1]:5432/b"),
        ("postgresql:///b", "postgresql:///b"),
        ("postgresql:///b?host=/run/postgresql", "postgresql:///b?host=/run/postgresql"),
        ("postgresql://u:p@db.example.com/b", "postgresql://u:p@db.example.com/b?sslmode=require"),
        (
            "postgresql://u@10.0.0.7:6432/b?application_name=x",
            "postgresql://u@10.0.0.7:6432/b?application_name=x&sslmode=require",
        ),
        ("postgresql://u@db.example.com/b?sslmode=verify-full", "postgresql://u@db.example.com/b?sslmode=verify-full"),
        ("postgresql://u@db.example.com/b?sslmode=disable", "postgresql://u@db.example.com/b?sslmode=disable"),
        ("postgresql:///b?host=db.example.com", "postgresql:///b?host=db.example.com&sslmode=require"),
        ("postgresql://u@localhost,db.example.com/b", "postgresql://u@localhost,db.example.com/b?sslmode=require"),
        ("host=db.example.com user=u dbname=b", "host=db.example.com user=u dbname=b sslmode=require"),
        ("host=localhost user=u dbname=b", "host=localhost user=u dbname=b"),
    ],
)
def test_a_database_that_is_not_on_this_machine_is_spoken_to_with_tls(url: str, expected: str) -> None:
    assert require_tls(url) == expected
