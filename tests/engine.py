"""The worker's real engine in the test's own process, with outcomes that can be waited for."""

import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from runner_core.db import Database
from runner_core.regions import Catalogue
from runner_worker.engine import Message, RegionRunner
from runner_worker.providers import Providers

BLOCKED_SECONDS = 3.0  # asyncio warns from 0.1 s on, which a starved machine reaches without anybody's fault


class BlockedLoop(logging.Handler):
    """Collects the callbacks that asyncio's debug mode found to block the event loop."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        took = re.search(r"took ([0-9.]+) seconds", record.getMessage())
        if took and float(took[1]) >= BLOCKED_SECONDS:
            self.found.append(record.getMessage())


class Engine:
    """One worker process's engine; several may share a database, each with connections of its own."""

    def __init__(
        self,
        db: Database,
        catalogue: Catalogue,
        name: str = "worker-1",
        *,
        breaker_seconds: float = 30.0,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.db = db
        self.providers = Providers(catalogue, db.settings, breaker_seconds=breaker_seconds)
        self.settings = db.settings
        self.runner = RegionRunner(db, db.settings, catalogue, self.providers, name, changed=changed)
        self.outcomes: list[tuple[str, str, str]] = []
        self._changed = threading.Condition()

    def take(self, *regions: tuple[str, str]) -> None:
        """Claim these (job id, region) pairs, as if their messages had come."""
        self.runner.submit([Message(job_id, region, "r-1", uuid.uuid4().hex) for job_id, region in regions], self._done)

    def wait(self, count: int, seconds: float = 30.0) -> list[tuple[str, str, str]]:
        """Wait until `count` messages have had their outcome: (job id, region, outcome), in the order of the ends."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.outcomes) >= count, seconds):
                raise AssertionError(f"{len(self.outcomes)} outcomes of {count}: {self.outcomes}")
            return list(self.outcomes)

    def run(self, *regions: tuple[str, str]) -> list[str]:
        """Take, wait, and return these regions' outcomes."""
        before = len(self.outcomes)
        self.take(*regions)
        ended = {(job_id, region): outcome for job_id, region, outcome in self.wait(before + len(regions))[before:]}
        return [ended[region] for region in regions]

    def _done(self, message: Message, outcome: str) -> None:
        with self._changed:
            self.outcomes.append((message.job_id, message.region, outcome))
            self._changed.notify_all()


Start = Callable[..., Engine]  # start(catalogue, "name", lease_seconds=1)


@contextmanager
def running(db: Database, catalogue: Catalogue, name: str = "worker-1") -> Iterator[Engine]:
    """An engine, closed at the end: what it holds then is left to its lease, as after a crash."""
    blocked, logger = BlockedLoop(), logging.getLogger("asyncio")
    logger.addHandler(blocked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONASYNCIODEBUG", "1")  # for the loop that the engine makes
        engine = Engine(db, catalogue, name)
    try:
        yield engine
    finally:
        engine.runner.close()
        engine.providers.close()
        logger.removeHandler(blocked)
    assert blocked.found == [], "something blocks the event loop"
