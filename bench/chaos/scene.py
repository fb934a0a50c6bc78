"""What a fault needs: the deployment, the client, and functions that wait for work.

A fault that meets no work proves nothing.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from bench.chaos.client import Client
from bench.chaos.deployment import Deployment
from tests.loopback_regions import REGIONS

PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.01
BURST = 12  # jobs in progress when an API, a publisher or Redis is struck


class NothingInFlight(Exception):
    """A fault met no work."""


@dataclass
class Scene:
    """`dice`: random numbers from the seed. `struck`: the Unix time of the last fault. Methods that wait raise
    NothingInFlight after a minute."""

    deployment: Deployment
    client: Client
    dice: random.Random
    struck: float = 0.0

    def strike(self) -> None:
        """Record the time of the fault, without the time that the fault waited for work."""
        self.struck = time.time()

    def running(self, kind: str) -> list[int]:
        """Wait until a process whose name begins with `kind` runs; return the pids of all of them."""
        _until(lambda: self.deployment.pids(kind), f"no {kind} ran")
        return list(self.deployment.pids(kind).values())

    def open_region(self) -> None:
        """Wait until a region run is open."""
        _until(self.deployment.open_regions, "no region was open")

    def ended_jobs(self, count: int) -> None:
        """Wait until so many jobs have ended."""
        _until(lambda: self.deployment.ask(ENDED)[0]["ended"] >= count, f"fewer than {count} jobs ended")

    def later_job(self) -> None:
        """Wait until a job that was accepted after the fault has ended."""

        def ended() -> object:
            with contextlib.suppress(psycopg.OperationalError):
                return self.deployment.ask(LATER, self.struck)
            return None

        _until(ended, "no job was accepted and ended after the fault")

    def frozen_holder(self, then: signal.Signals) -> int:
        """Send `then` to a worker that holds a lease; return its pid. The worker is stopped during the check."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            pids = list(self.deployment.pids("worker").values())
            held = self.deployment.leases()
            holders = [pid for pid in pids if held.get(pid)]
            if not holders:
                time.sleep(LOOK_SECONDS)
                continue
            pid = self.dice.choice(holders)
            self.strike()
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                os.kill(pid, signal.SIGSTOP)
                if self.deployment.leases().get(pid):
                    os.kill(pid, then)
                    return pid
                os.kill(pid, signal.SIGCONT)
        raise NothingInFlight("no worker held a lease")

    @contextlib.contextmanager
    def queued_messages(self) -> Iterator[None]:
        """Run the block while a message waits in Redis. The workers of one region are stopped until then, because an
        idle worker takes each message at once."""
        region = self.dice.choice(REGIONS)
        stopped = self.running(f"worker_{region.lower()}")
        try:
            for pid in stopped:
                _signal(pid, signal.SIGSTOP)
            self.client.submit(BURST)
            _until(lambda: self.deployment.queued(region), "no message was queued")
            yield
        finally:
            for pid in stopped:
                _signal(pid, signal.SIGCONT)


def _signal(pid: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sign)


def _until(look: Callable[[], object], missing: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise NothingInFlight(missing)
        time.sleep(LOOK_SECONDS)


ENDED = "SELECT count(*) AS ended FROM jobs WHERE completed_at IS NOT NULL"
LATER = "SELECT id FROM jobs WHERE created_at > to_timestamp(%s) AND completed_at IS NOT NULL LIMIT 1"
