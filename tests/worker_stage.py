"""A worker process with an engine that only records, the Redis that it serves, and what the engine wrote down."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from rq import Worker

from runner_core.settings import Settings
from runner_queue.broker import Broker
from runner_queue.push import OutboxRow

PROGRAM = Path(__file__).parent / "integration/region_worker.py"
TOPIC = "beacon-us"
QUEUE = f"rq:queue:{TOPIC}"
PATIENCE_SECONDS = 20.0


@dataclass
class Stage:
    """A worker process, the Redis it serves, and what its engine wrote down."""

    url: str
    log: Path
    process: "subprocess.Popen[bytes]"
    client: "redis.Redis[bytes]"

    def push(self, *job_ids: str) -> list[str]:
        rows = [
            OutboxRow(
                number, TOPIC, {"id": name, "enqueued_at": "now", "attempt": 0, "request_id": "r"}, uuid4().hex, 0
            )
            for number, name in enumerate(job_ids)
        ]
        broker = Broker(Settings.from_env({"REDIS_URL": self.url}))
        assert broker.push(rows) == {}
        broker.close()
        return [row.dispatch_id for row in rows]

    def batches(self) -> list[list[str]]:
        return [[m[0] for m in json.loads(batch)["batch"]] for batch in self.client.lrange("submitted", 0, -1)]

    def ran(self) -> list[str]:
        return [job_id for batch in self.batches() for job_id in batch]

    def until(self, fact: Callable[[], Any]) -> Any:
        """Wait for a fact; return it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (value := fact()):
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            with suppress(subprocess.TimeoutExpired):  # not a nap: it ends when the process does
                self.process.wait(0.01)
                pytest.fail(f"the worker ended: {self.log.read_text()[-4000:]}")
        return value

    def worker(self) -> Worker | None:
        """The worker as RQ's tools see it."""
        return next(iter(Worker.all(connection=self.client)), None)  # type: ignore[return-value]

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(PATIENCE_SECONDS)
