"""Reads the configuration: environment variables only, read once; all mistakes are reported together."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from runner_core.environment import EnvironmentReader
from runner_core.errors import ConfigError, Mistakes
from runner_core.setting_groups import (
    ApiSettings,
    DatabaseSettings,
    JobSettings,
    OutboxSettings,
    ProcessSettings,
    RedisSettings,
    WorkerSettings,
)

# Some bounds protect an operator; a test may go below them.
TEST = "BEACON_TEST"
# What a healthy loop may take besides the wait or the answer that a setting limits: a step with PostgreSQL, whose
# failures are repeated for 20 s, ends within 40 s.
POLL_MARGIN_SECONDS, REDIS_MARGIN_SECONDS = 10, 40


@dataclass(frozen=True)
class Settings:
    """Every setting of every process; docs/configuration.md explains each one.

    Each process reads all settings and uses its own part.
    """

    database: DatabaseSettings
    redis: RedisSettings
    api: ApiSettings
    outbox: OutboxSettings
    jobs: JobSettings
    worker: WorkerSettings
    process: ProcessSettings

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ, process: str | None = None) -> "Settings":
        """Read the environment. `process` selects the process's own database URL if that is set.

        REDIS_URL is not checked here: a process that uses Redis calls `runner_queue.addresses.settings_from`.

        Raises ConfigError with every mistake found, one sentence each.
        """
        mistakes = Mistakes()
        settings = cls.read(EnvironmentReader(env, mistakes), process)
        if mistakes:
            raise ConfigError(mistakes)
        return settings

    @classmethod
    def read(cls, env: EnvironmentReader, process: str | None = None) -> "Settings":
        """Read the environment; `env` collects the mistakes. A setting with a mistake gets its default."""
        test = EnvironmentReader(env.env, env.mistakes).flag(TEST, False)  # not for operators
        settings = cls(
            database=DatabaseSettings.read(env, process, test=test),
            redis=RedisSettings.read(env),
            api=ApiSettings.read(env),
            outbox=OutboxSettings.read(env),
            jobs=JobSettings.read(env, test=test),
            worker=WorkerSettings.read(env, test=test),
            process=ProcessSettings.read(env, test=test),
        )
        if not test:
            env.mistakes.extend(_early_stalls(settings))
        return settings


def _early_stalls(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each setting that lets a healthy loop take longer than STALL_SECONDS for one step."""
    seconds = settings.process.stall_seconds
    if (least := settings.outbox.poll_ms / 1000 + POLL_MARGIN_SECONDS) > seconds:
        yield (
            "STALL_SECONDS is too short for OUTBOX_POLL_MS: a publisher that waits for messages would count as stalled "
            f"and be restarted; set STALL_SECONDS to {ceil(least)} or more, or lower OUTBOX_POLL_MS"
        )
    # A connection that Redis accepts and does not answer takes the time limit twice.
    if (least := 2 * settings.redis.timeout_seconds + REDIS_MARGIN_SECONDS) > seconds:
        yield (
            "STALL_SECONDS is too short for REDIS_TIMEOUT_SECONDS: a process whose Redis is silent would count as "
            f"stalled and be restarted; set STALL_SECONDS to {ceil(least)} or more, or lower REDIS_TIMEOUT_SECONDS"
        )


def defaults() -> dict[str, object]:
    """Return the default of every setting, by the environment variable's name."""
    env = EnvironmentReader({}, Mistakes())
    Settings.read(env)
    return env.defaults


def settings_in(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of `env` that are settings."""
    names = defaults()
    return {name: env[name] for name in sorted(env) if name in names}
