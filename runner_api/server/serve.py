"""gunicorn around the application: what must hold before it starts, what every worker opens after the fork."""

import logging
import os
import re
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
from runner_core.addresses import api_bind
from runner_core.collector import spare_what_stays
from runner_core.db import Database
from runner_core.errors import ConfigError, Mistakes, NotReady
from runner_core.presence import Presence, wait_until_ready
from runner_core.regions import Catalogue, catalogue_in
from runner_core.settings import Settings
from runner_core.shared_numbers import SharedNumbers
from runner_core.telemetry import setup_logging
from runner_core.trust import TrustList

log = logging.getLogger("api")
# A thread that waits for an event stream or a changed job costs its stack; the pool of connections stays small.
DEFAULT_WORKERS, DEFAULT_THREADS = 2, 128
MEMORY_FOLDER = "/dev/shm"  # noqa: S108 - Linux' own; a file there takes no room on a disk
KEEPALIVE_SECONDS = 65  # longer than the proxies' usual 60, so that they and not we close an idle connection


@dataclass(frozen=True)
class Configuration:
    """Everything the server needs, read and checked."""

    settings: Settings
    catalogue: Catalogue
    trust: TrustList | None
    bind: str
    workers: int
    threads: int

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Configuration":
        """Read everything. Raises ConfigError with every mistake of all of it."""
        mistakes = Mistakes()
        settings = mistakes.of(lambda: Settings.from_env(env, process="api"))
        catalogue = mistakes.of(lambda: catalogue_in(env))
        keys_file = env.get("TRUSTED_KEYS_FILE", "").strip()
        needed = settings.trust_enforce if settings else keys_file  # a file that is named is looked at all the same
        trust = mistakes.of(lambda: _trust(keys_file)) if needed else None
        bind = mistakes.of(lambda: api_bind(env))
        workers = _number(env, "WEB_CONCURRENCY", DEFAULT_WORKERS, 256, mistakes)
        threads = _number(env, "WEB_THREADS", DEFAULT_THREADS, 4096, mistakes)
        if mistakes or not settings or not catalogue or not bind:
            raise ConfigError(mistakes)
        return cls(settings, catalogue, trust, bind, workers, threads)


def serve() -> int:
    """Serve until a signal; gunicorn leaves by SystemExit. 1 when the database is not ready, 2 for a mistake."""
    try:
        configuration = Configuration.from_env()
    except ConfigError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 2
    settings = configuration.settings
    setup_logging("api", as_json=settings.log_json, secret_names=configuration.catalogue.secret_names)
    _warn(settings)
    db = Database(settings, "api", size=1).open()
    try:
        wait_until_ready(db, settings.probe_seconds)
    except NotReady as error:
        sys.stderr.write(f"The API can't start: {error.detail}.\n")
        return 1
    finally:
        db.close()  # before the fork: a connection can't be shared
    Server(configuration, _shared_numbers(configuration.workers)).run()
    return 0


class Server(BaseApplication):  # type: ignore[misc]  # it ships no types
    """gunicorn, configured by us alone: no file and no command line of its own."""

    def __init__(self, configuration: Configuration, numbers: SharedNumbers | None = None) -> None:
        self.configuration = configuration
        self.numbers = numbers
        self.opened: list[Any] = []
        super().__init__()

    def load_config(self) -> None:
        """Called by gunicorn before it starts."""
        configuration = self.configuration
        options = {
            "bind": configuration.bind,
            "workers": configuration.workers,
            "worker_class": "runner_api.server.worker.Worker",
            "threads": configuration.threads,
            "keepalive": KEEPALIVE_SECONDS,
            "graceful_timeout": max(1, int(configuration.settings.stop_grace_seconds)),
            "timeout": 60,
            "control_socket_disable": True,
            # Without a file there for each worker gunicorn ends, and temporary folders get cleaned.
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
        """Called by gunicorn in each worker, after the fork: here connections and threads may begin."""
        settings, catalogue = self.configuration.settings, self.configuration.catalogue
        db = Database(settings, "api").open()
        watchers = Watchers(db)
        presence = Presence(db, "api", concurrency=self.configuration.threads, regions_sha=catalogue.sha256)
        presence.start()
        self.opened = [watchers, presence, db]
        app = create_app(settings, db, catalogue, self.configuration.trust, watchers)
        if self.numbers:
            metrics.install(app, self.numbers)
        spare_what_stays()
        return app

    def let_go(self) -> None:
        """Called when a worker is told to end: clients that wait are answered now, not within the grace."""
        for part in self.opened:
            if isinstance(part, Watchers):
                part.stop()

    def close(self) -> None:
        """Called by gunicorn at a worker's end."""
        for part in self.opened:
            part.close() if isinstance(part, Database) else part.stop()


class ServerLog(Logger):  # type: ignore[misc]
    """gunicorn's own lines go where all of this process's lines go; each request is logged by the application."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn; its handler goes, ours remains."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def _shared_numbers(workers: int) -> SharedNumbers | None:
    """None where there is no memory for them: each process then tells its own alone, and answers all the same."""
    try:
        return SharedNumbers(2 * workers + 8)  # a reload starts the new ones before the old have ended
    except (OSError, ValueError) as error:
        log.warning("/metrics tells the numbers of one process at a time: %s", error)
        return None


def _trust(path: str) -> TrustList:
    if not path:
        raise ConfigError(["TRUSTED_KEYS_FILE is not set: the keys that may submit jobs (or TRUST_ENFORCE=0)"])
    return TrustList.load(path)


def _number(env: Mapping[str, str], name: str, default: int, most: int, mistakes: list[str]) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    if re.fullmatch(r"[0-9]{1,6}", text) and 1 <= int(text) <= most:
        return int(text)
    mistakes.append(f"{name} is not a number from 1 to {most}")
    return default


def _warn(settings: Settings) -> None:
    if not settings.trust_enforce:
        log.warning("TRUST_ENFORCE=0: every key may submit jobs")
    if not settings.freshness_enforce:
        log.warning("FRESHNESS_ENFORCE=0: a job of any age is accepted")
    if settings.allow_unsigned:
        log.warning("ALLOW_UNSIGNED=1: anybody may submit jobs")
