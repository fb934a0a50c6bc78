"""Reads the configuration: environment variables only, read once; all mistakes are reported together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

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
        return cls(
            database=DatabaseSettings.read(env, process, test=test),
            redis=RedisSettings.read(env),
            api=ApiSettings.read(env),
            outbox=OutboxSettings.read(env),
            jobs=JobSettings.read(env, test=test),
            worker=WorkerSettings.read(env, test=test),
            process=ProcessSettings.read(env, test=test),
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
