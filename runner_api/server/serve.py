"""Run the application under gunicorn: check the configuration, then open connections in each worker after the fork."""

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # it ships no types
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from runner_api.app import create_app
from runner_api.http.watch import Watchers
from runner_api.routes import metrics
from runner_core.collector import freeze_gc
from runner_core.db import Database
from runner_core.environment import EnvironmentReader
from runner_core.errors import ConfigError, Mistakes, NotReady
from runner_core.heartbeat import Heartbeat
from runner_core.readiness import wait_until_ready
from runner_core.regions import Catalogue, load_catalogue
from runner_core.settings import Settings
from runner_core.shared_numbers import SharedNumbers
from runner_core.telemetry import setup_logging
from runner_core.trust import TrustList

log = logging.getLogger("api")
MEMORY_FOLDER = "/dev/shm"  # noqa: S108 - Linux' own; a file there takes no room on a disk
KEEPALIVE_SECONDS = 65  # proxies usually close idle connections after 60 s; the server must not be the first to close


@dataclass(frozen=True)
class Configuration:
    """Everything the server needs, read and checked."""

    settings: Settings
    catalogue: Catalogue
    trust: TrustList | None

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Configuration":
        """Read settings, regions file, keys and address. Raises ConfigError with all mistakes at once."""
        mistakes = Mistakes()
        # A setting with a mistake has its default, so that the files are looked at all the same.
        settings = Settings.read(EnvironmentReader(env, mistakes), process="api")
        api, jobs = settings.api, settings.jobs
        catalogue = mistakes.of(lambda: load_catalogue(jobs.regions_file, allow_sandbox=jobs.allow_sandbox, env=env))
        trust = mistakes.of(lambda: _trust(api.trusted_keys_file)) if api.trust_enforce else None
        if mistakes or not catalogue:
            raise ConfigError(mistakes)
        return cls(settings, catalogue, trust)


def serve() -> int:
    """Serve until a signal: then gunicorn raises SystemExit. Return 1 without a ready database, 2 for mistakes."""
    try:
        configuration = Configuration.from_env()
    except ConfigError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 2
    settings, catalogue = configuration.settings, configuration.catalogue
    setup_logging(
        "api",
        as_json=settings.process.log_json,
        secret_names=catalogue.secret_names,
        secret_values=catalogue.secret_values,
    )
    _warn(settings)
    db = Database(settings, "api", size=1).open()
    try:
        wait_until_ready(db, settings.process.probe_seconds)
    except NotReady as error:
        sys.stderr.write(f"The API can't start: {error.detail}.\n")
        return 1
    finally:
        db.close()  # before the fork: a connection can't be shared
    freeze_gc()  # before the fork, so that the workers share the memory of what was imported
    Server(configuration, _shared_numbers(settings.api.web_concurrency)).run()
    return 0


class Server(BaseApplication):  # type: ignore[misc]  # it ships no types
    """gunicorn with our configuration alone: it reads no file and no command line."""

    def __init__(self, configuration: Configuration, numbers: SharedNumbers | None = None) -> None:
        self.configuration = configuration
        self.numbers = numbers
        self.opened: list[Any] = []
        super().__init__()

    def load_config(self) -> None:
        """Called by gunicorn before it starts."""
        settings = self.configuration.settings
        options = {
            "bind": settings.api.bind,
            "workers": settings.api.web_concurrency,
            "worker_class": "runner_api.server.worker.Worker",
            "threads": settings.api.web_threads,
            "keepalive": KEEPALIVE_SECONDS,
            "graceful_timeout": max(1, int(settings.process.stop_grace_seconds)),
            "timeout": 60,
            "control_socket_disable": True,
            # gunicorn ends when the file that it keeps for each worker is removed, and /tmp is cleaned on many hosts.
            "worker_tmp_dir": MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None,
            "logger_class": ServerLog,
            "worker_exit": lambda _server, _worker: self.close(),
        }
        if numbers := self.numbers:
            options["pre_fork"] = lambda _server, worker: numbers.reserve(worker.age)
            options["post_fork"] = lambda _server, worker: numbers.enter(worker.age)
            options["child_exit"] = lambda _server, worker: numbers.fold(worker.age)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called by gunicorn in each worker after the fork: only here may connections and threads begin."""
        settings, catalogue = self.configuration.settings, self.configuration.catalogue
        db = Database(settings, "api").open()
        watchers = Watchers(db)
        heartbeat = Heartbeat(db, "api", concurrency=settings.api.web_threads, regions_sha=catalogue.sha256)
        heartbeat.start()
        self.opened = [watchers, heartbeat, db]
        app = create_app(settings, db, catalogue, self.configuration.trust, watchers)
        if self.numbers:
            metrics.install(app, self.numbers)
        freeze_gc()
        return app

    def end_waits(self) -> None:
        """Answer the waiting clients now, not at the end of the grace. Called when a worker is told to end."""
        for part in self.opened:
            if isinstance(part, Watchers):
                part.stop()

    def close(self) -> None:
        """Close what load() opened. Called by gunicorn when a worker ends."""
        for part in self.opened:
            part.close() if isinstance(part, Database) else part.stop()


class ServerLog(Logger):  # type: ignore[misc]
    """Writes gunicorn's lines where all lines of this process go. The application logs each request."""

    def setup(self, cfg: Any) -> None:
        """Replace gunicorn's handler by ours. Called by gunicorn."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def _shared_numbers(workers: int) -> SharedNumbers | None:
    """Return the shared memory of the metrics, None where it can't be had: then each process shows its own numbers."""
    try:
        return SharedNumbers(2 * workers + 8)  # a reload starts new workers before the old ones have ended
    except (OSError, ValueError) as error:
        log.warning("can't share the metrics between processes, /metrics shows one process at a time: %s", error)
        return None


def _trust(path: str) -> TrustList:
    if not path:
        raise ConfigError(
            ["TRUSTED_KEYS_FILE is not set: set it to the file of the trust list, or set TRUST_ENFORCE=0"]
        )
    return TrustList.load(path)


def _warn(settings: Settings) -> None:
    if not settings.api.trust_enforce:
        log.warning("TRUST_ENFORCE=0: every key may submit jobs")
    if not settings.api.freshness_enforce:
        log.warning("FRESHNESS_ENFORCE=0: a job of any age is accepted")
    if settings.api.allow_unsigned:
        log.warning("ALLOW_UNSIGNED=1: anybody may submit jobs")
