"""Measures full durable executions per second in two processes: a commit for the claim, one for result and status."""

import subprocess
import time
from dataclasses import dataclass

from bench import measure, statements
from bench.measure import Pace, Sampler
from bench.system import System, stop
from bench.testbed import PLAN, Testbed

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Run:
    """One round of one system. Commits and Redis commands are per execution, over the whole run."""

    pace: Pace
    commits: float
    redis: float


def run(
    testbed: Testbed, system: System, executions: int, *, processes: int = 2, models: int = 1, keep: bool = False
) -> Run:
    """Fill the queue, start the workers, wait until all is done, stop. With `keep` the tables are not emptied first."""
    if not keep:
        testbed.empty()
    plan = '{"US": [' + ", ".join(f'"m{n}"' for n in range(1, models + 1)) + "]}" if models > 1 else PLAN
    system.fill(testbed, executions // models, plan)
    since = testbed.since()
    commits, commands = measure.commits(testbed.conn), measure.redis_commands(testbed.redis)
    workers = system.start(testbed, processes, models=models)
    sampler = Sampler(testbed.env["DATABASE_URL"], testbed.server_pid, lambda: [w.pid for w in workers], since)
    try:
        sampler.until(executions // models * models, PATIENCE_SECONDS)
    finally:
        stop(workers)
        sampler.close()
    time.sleep(0.1)  # until the last backends have reported
    own = len(sampler.samples)  # the sampler's commits are not the workers'
    return Run(
        sampler.pace(executions // models * models),
        (measure.commits(testbed.conn) - commits - own) / executions,
        (measure.redis_commands(testbed.redis) - commands) / executions,
    )


def limit(testbed: Testbed, executions: int, clients: int = 16) -> float:
    """Return the rate of pgbench with the peers' two statements: the limit of the server alone, in executions/s."""
    testbed.empty()
    for client in range(clients):
        where = {"prefix": "p", "first": client * 100_000, "last": client * 100_000 + executions // clients}
        testbed.run("submit", **where, plan=PLAN, questions="[]", key="benchmark", spec="{}")
    testbed.settle()
    script = testbed.home / "limit.pgbench"
    script.write_text(statements.for_pgbench())
    script.chmod(0o644)
    pgbench = testbed.postgres._programs / "pgbench"  # beside the server, of the same version
    command = [str(pgbench), "-n", "-M", "prepared", "-f", str(script), "-c", str(clients), "-j", "2"]
    command += ["-D", "n=0", "-t", str(executions // clients), testbed.postgres.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("tps ="))
    return float(line.split()[2])
