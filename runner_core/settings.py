"""The configuration: environment variables only, read once, all mistakes reported together."""

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
    """Every setting of every process; docs/configuration.md says what each is for.

    Durations carry their unit in the name. Each process reads all of it and uses its part.
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
        """Read the environment; `process` picks that process's own database login where one is given.

        What REDIS_URL may be is decided where Redis is used: a process that uses it reads its settings by
        `runner_queue.addresses.settings_from`.

        Raises ConfigError with every mistake found, one sentence each.
        """
        mistakes = Mistakes()
        settings = cls.read(EnvironmentReader(env, mistakes), process)
        if mistakes:
            raise ConfigError(mistakes)
        return settings

    @classmethod
    def read(cls, env: EnvironmentReader, process: str | None = None) -> "Settings":
        """Read the environment, with the default of each setting that has a mistake; `env` collects the mistakes."""
        test = EnvironmentReader(env.env, env.mistakes).flag(TEST, False)  # no setting of an operator's
        return cls(
            database=DatabaseSettings.read(env, process, test=test),
            redis=RedisSettings.read(env),
            api=ApiSettings.read(env),
            outbox=OutboxSettings.read(env),
            jobs=JobSettings.read(env, test=test),
            worker=WorkerSettings.read(env, test=test),
            process=ProcessSettings.read(env),
        )


def defaults() -> dict[str, object]:
    """Return the default of every environment variable that is a setting, by the variable's name."""
    env = EnvironmentReader({}, Mistakes())
    Settings.read(env)
    return env.defaults


def settings_in(env: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that an environment has, as they are written there."""
    names = defaults()
    return {name: env[name] for name in sorted(env) if name in names}
