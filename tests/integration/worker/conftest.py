"""Starts worker processes with an engine that only records."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from rq import Worker

from tests.worker_stage import PROGRAM, Stage


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Starts a worker process on a Redis; waits until it is registered."""
    stages: list[Stage] = []

    def make(
        url: str, *, room: int = 8, batch: int = 100, grace: float = 20, wait: bool = True, quiet: bool = False
    ) -> Stage:
        log = tmp_path / f"worker-{len(stages)}.log"
        command = [sys.executable, str(PROGRAM), url, str(room), str(batch), str(grace)]
        command += ["quiet"] if quiet else []
        with log.open("wb") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=sink)
        stages.append(Stage(url, log, process, redis.Redis.from_url(url)))
        if wait:
            stages[-1].until(lambda: Worker.count(connection=stages[-1].client) == len(stages))
        return stages[-1]

    yield make
    for stage in stages:
        stage.process.kill()
        stage.process.wait()
        stage.client.close()
