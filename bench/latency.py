"""Measures the time from the commit of a job to the start of its execution, at ten jobs a second."""

import http.client
import signal
import subprocess
import sys
import time

from bench import environment, http_server, statements
from bench.peers.all import PGQUEUER
from bench.system import OURS, stop
from bench.testbed import Testbed
from runner_cli.child import spawn
from runner_cli.home import CHECKOUT

PER_SECOND = 10.0
WARM = 10  # the first second's jobs meet cold caches and unprepared statements


def ours(testbed: Testbed, seconds: float) -> list[float]:
    """Return the milliseconds of each job, through the API, a publisher and a worker."""
    testbed.empty()
    jobs = http_server.signed_jobs(testbed, int(PER_SECOND * seconds) + WARM)
    with http_server.running(testbed) as (port, _), testbed.log("publisher").open("wb") as log:
        publisher = spawn(
            [sys.executable, "-m", "outbox_publisher"],
            death_signal=signal.SIGKILL,
            env=testbed.env,
            cwd=CHECKOUT,
            stdout=log,
            stderr=log,
        )
        workers = OURS.start(testbed, 1)
        try:
            time.sleep(2.0)  # both connected and listening
            connection = http.client.HTTPConnection("127.0.0.1", port)
            due = time.monotonic()
            for job in jobs:
                connection.request("POST", "/api/v1/jobs", job, {"Content-Type": "application/json"})
                connection.getresponse().read()
                due += 1 / PER_SECOND
                time.sleep(max(0.0, due - time.monotonic()))
            connection.close()
            time.sleep(1.0)
        finally:
            stop([*workers, publisher])
    return _starts(testbed, len(jobs))


def notify_only(testbed: Testbed, seconds: float) -> list[float]:
    """Return the same for pgqueuer, which keeps messages in PostgreSQL and wakes its worker by NOTIFY."""
    testbed.empty()
    count = int(PER_SECOND * seconds) + WARM
    first, testbed.jobs = testbed.jobs + 1, testbed.jobs + count
    python = [str(environment.program("python")), "-m", "bench.peers.pgqueuer"]
    env = {**environment.variables(), **{name: testbed.env[name] for name in ("DATABASE_URL", "REDIS_URL")}}
    subprocess.run([*python, "fill", "none-1", "none-0"], env=env, cwd=CHECKOUT, check=True)
    workers = PGQUEUER.start(testbed, 1)
    try:
        time.sleep(2.0)
        trickle = [*python, "trickle", f"bench-{first}", f"bench-{testbed.jobs}", str(PER_SECOND)]
        subprocess.run(trickle, env=env, cwd=CHECKOUT, check=True)
        time.sleep(1.0)
    finally:
        stop(workers)
    return _starts(testbed, count)


def _starts(testbed: Testbed, wanted: int) -> list[float]:
    found = [row[0] for row in testbed.conn.execute(statements.for_psycopg("starts"))]
    if len(found) != wanted:
        raise RuntimeError(f"{len(found)} of {wanted} jobs were started")
    return found[WARM:]
