"""The systems that are compared: how to fill a system's queue and start its workers, and what it guarantees."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from bench import environment
from bench.testbed import PLAN, Testbed
from outbox_publisher.relay import publish_batch
from runner_cli.child import end, spawn
from runner_cli.home import CHECKOUT
from runner_core.db import Database
from runner_core.settings import Settings
from runner_queue.broker import Broker

STOP_SECONDS = 5.0
Workers = list["subprocess.Popen[bytes]"]


@dataclass(frozen=True)
class System:
    """A system. `commands(processes, width)` returns the command lines of its worker processes; `width` is the most
    calls in flight of each, None for the documentation's recommendation. `sizes`: the executions per round."""

    name: str
    promise: str
    setting: str
    executions: int
    commands: Callable[[int, int | None], list[list[str]]]
    peer: str = ""  # its module in bench.peers; "" for the project's own
    statements: str = "2 commits, one statement each; the same rows"
    bare: bool = False  # its peers write jobs, region_runs and executions alone
    wide: bool = True  # can have many calls in flight in one process

    def fill(self, testbed: Testbed, count: int, plan: str = PLAN) -> list[str]:
        """Insert `count` jobs and put them into the system's queue."""
        ids = testbed.submit(count, plan=plan, staged=not self.peer)
        if self.peer:
            command = [str(environment.program("python")), "-m", f"bench.peers.{self.peer}", "fill", ids[0], ids[-1]]
            subprocess.run(command, env=self._variables(testbed, 0), cwd=CHECKOUT, check=True)
        else:
            publish_all(testbed)
        return ids

    def start(
        self, testbed: Testbed, processes: int, seconds: float = 0.0, width: int | None = None, models: int = 1
    ) -> Workers:
        """Start the system's workers; a call takes `seconds`."""
        env = self._variables(testbed, seconds, width, models)
        workers = []
        for command in self.commands(processes, width):
            with testbed.log(self.name.split()[0]).open("wb") as log:
                workers.append(
                    spawn(command, death_signal=signal.SIGKILL, env=env, cwd=CHECKOUT, stdout=log, stderr=log)
                )
        return workers

    def _variables(self, testbed: Testbed, seconds: float, width: int | None = None, models: int = 1) -> dict[str, str]:
        if not self.peer:
            return {**testbed.env, "REGIONS_FILE": str(testbed.regions(seconds, models, max(64, width or 0)))}
        urls = {name: testbed.env[name] for name in ("DATABASE_URL", "REDIS_URL")}
        how = {"BENCH_SECONDS": str(seconds), "BENCH_WIDTH": str(width or 0), "BENCH_BARE": "1" if self.bare else ""}
        return {**environment.variables(), **urls, **how}


def stop(workers: Workers) -> None:
    """End the workers, and all processes in their sessions."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        end(worker, (signal.SIGTERM, STOP_SECONDS))


def publish_all(testbed: Testbed) -> None:
    """Push every waiting outbox row, as the publisher does."""
    settings = Settings.from_env(testbed.env, process="publisher")
    db, broker = Database(settings, "publisher").open(), Broker(settings)
    while publish_batch(db, broker) == settings.outbox.batch:
        pass
    broker.close()
    db.close()


def _ours(processes: int, width: int | None) -> list[list[str]]:
    flags = ["--concurrency", str(width)] if width else []
    return [[sys.executable, "-m", "runner_worker", "--region", "US", *flags]] * processes


OURS = System(
    name="beacon-runner",
    promise="at-least-once dispatch, at most one accepted result per (job, region, model); fenced leases, every answer "
    "stored when it arrives, an event in the transaction of every change, a signed receipt; survives an emptied Redis",
    setting="the Procfile's `python -m runner_worker --region US` with its defaults (256 wide, claims of up to 100)",
    executions=10_000,
    commands=_ours,
    statements="2 transactions, shared by a batch; jobs, region_runs, answers, executions, 4 events, a signed receipt",
)
