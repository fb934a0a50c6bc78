"""Measures the idle stack, the publisher's claim beside a million processed rows, and a job of the largest size."""

import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

from bench import http_server, measure
from bench.system import publish_all, stop
from bench.testbed import Testbed
from runner_cli.child import spawn
from runner_cli.home import CHECKOUT
from runner_core.queries import statements as named

REGIONS = ("US", "EU", "ASIA")
LARGE = {"regions": 8, "models": 16, "questions": 15}


def idle(testbed: Testbed, seconds: float) -> dict[str, float]:
    """Return the CPU use of an idle API, publisher, three workers, and PostgreSQL, in percent of a core."""
    testbed.empty()
    env = {**testbed.env, "REGIONS_FILE": str(testbed.regions(regions=3))}
    commands = [[sys.executable, "-m", "outbox_publisher"]]
    commands += [[sys.executable, "-m", "runner_worker", "--region", region] for region in REGIONS]
    processes = []
    with http_server.running(testbed) as (_, api):
        for command in commands:
            with testbed.log("idle").open("wb") as log:
                processes.append(
                    spawn(command, death_signal=signal.SIGKILL, env=env, cwd=CHECKOUT, stdout=log, stderr=log)
                )
        try:
            time.sleep(6.0)  # all started
            pids = [api, *(process.pid for process in processes)]
            before, server = measure.cpu_seconds(pids), measure.cpu_seconds([testbed.server_pid])
            time.sleep(seconds)
            stack = (measure.cpu_seconds(pids) - before) / seconds * 100
            return {
                "stack": stack,
                "postgres": (measure.cpu_seconds([testbed.server_pid]) - server) / seconds * 100,
                "mb": measure.pss_mb(pids),
            }
        finally:
            stop(processes)


def claim_plan(testbed: Testbed, waiting: int = 1000) -> dict[str, Any]:
    """Return EXPLAIN ANALYZE of the publisher's claim, with `waiting` rows after all processed rows."""
    testbed.submit(waiting, staged=True)
    statement = b"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) " + named()["outbox.claim"].sql
    with testbed.conn.transaction(force_rollback=True):
        lines = [row[0] for row in testbed.conn.execute(statement, {"batch": 100, "left_out": []})]
    with testbed.conn.transaction(force_rollback=True):
        lines = [row[0] for row in testbed.conn.execute(statement, {"batch": 100, "left_out": []})]
    took = next(line for line in lines if line.startswith("Execution Time"))
    return {"ms": float(took.split()[2]), "processed": testbed.old, "plan": [line for line in lines if "->" in line]}


@dataclass(frozen=True)
class LargeJob:
    """One job of 8 regions, 16 models and 15 questions."""

    calls: int
    seconds: float
    most_mb: float


def large_job(testbed: Testbed) -> LargeJob:
    """Run the large job with one worker per region; `most_mb` is the largest PSS of a worker."""
    testbed.empty()
    names = ["US", "EU", "ASIA", "SA", "AF", "AU", "ME", "CA"][: LARGE["regions"]]
    models = ", ".join(f'"m{n}"' for n in range(1, LARGE["models"] + 1))
    plan = "{" + ", ".join(f'"{name}": [{models}]' for name in names) + "}"
    env = {**testbed.env, "REGIONS_FILE": str(testbed.regions(0.05, LARGE["models"], regions=LARGE["regions"]))}
    workers = []
    for name in names:
        with testbed.log("large").open("wb") as log:
            command = [sys.executable, "-m", "runner_worker", "--region", name]
            workers.append(spawn(command, death_signal=signal.SIGKILL, env=env, cwd=CHECKOUT, stdout=log, stderr=log))
    try:
        deadline = time.monotonic() + 60.0
        while testbed.one("SELECT count(*) FROM processes WHERE kind = 'worker'") < len(names):
            if time.monotonic() > deadline:
                raise TimeoutError("the workers did not start")
            time.sleep(0.2)
        job_id = testbed.submit(1, plan=plan, questions=LARGE["questions"], staged=True)[0]
        began, most = time.monotonic(), 0.0
        publish_all(testbed)
        while testbed.one("SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')"):
            most = max(most, *(measure.pss_mb([worker.pid]) for worker in workers))
            if time.monotonic() > deadline + 60:
                raise TimeoutError(f"{job_id} did not end")
            time.sleep(0.1)
        seconds = time.monotonic() - began
    finally:
        stop(workers)
    calls = LARGE["regions"] * LARGE["models"] * LARGE["questions"]
    if testbed.one("SELECT count(*) FROM answers WHERE status = 'ok'") != calls:
        raise RuntimeError("answers are missing")
    return LargeJob(calls, seconds, most)
