"""`python -m runner_analyst`: analyse the jobs that have ended. Several analysts may run at once."""

# The imports below take long.
if __name__ == "__main__":
    import os

    from runner_core.server_start import begin

    begin()
    # numpy makes a thread for each core when it is imported. An analyst uses one core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from queue import SimpleQueue

import psycopg
from psycopg_pool import PoolTimeout

from runner_analyst.analyst import LOOK_SECONDS, Analyst, analyst_for
from runner_core.collector import freeze_gc
from runner_core.db import Database
from runner_core.errors import ConfigError, NotReady
from runner_core.heartbeat import Heartbeat
from runner_core.loop_health import Loop, LoopHealth, problem_of
from runner_core.metrics_server import serve_metrics
from runner_core.readiness import wait_until_ready
from runner_core.regions import read_catalogue
from runner_core.settings import Settings
from runner_core.telemetry import setup_logging

log = logging.getLogger("analyst")
NICENESS = 19  # API, publisher and workers come first on a machine that they share
MAX_PAUSE_SECONDS = 5.0
# A statement that is under way may end. A computation is not waited for: it has changed nothing, and is repeated.
STATEMENT_SECONDS = 1.0
LAST_SECONDS = 2.5
POOL = 2  # connections: the work's and the heartbeat's


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT.

    Returns 1 if the database is not ready or the work broke, 2 for a mistake in the configuration.
    """
    argparse.ArgumentParser(
        prog="python -m runner_analyst", description="Computes the comparison of each job that has ended."
    ).parse_args(argv)
    freeze_gc()
    try:
        settings = Settings.from_env(process="analyst")
        health = LoopHealth(settings.process.stall_seconds)
        serve_metrics("analyst", settings.process.metrics_host, settings.process.metrics_port, health)
    except ConfigError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    setup_logging("analyst", as_json=settings.process.log_json)
    with contextlib.suppress(OSError):  # a container may forbid it
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    db = Database(settings, "analyst", size=POOL).open()
    try:
        wait_until_ready(db, settings.process.probe_seconds)
    except NotReady as error:
        log.error("not ready: %s", error.detail)
        return 1
    loop = health.add("analyst")
    return serve(db, analyst_for(db, _judge(settings), loop.progressed), health, loop)


def _judge(settings: Settings) -> str | None:
    """Return the id of the judge that the regions file names. An analyst needs nothing else of the file."""
    jobs = settings.jobs
    if not jobs.regions_file:
        return None
    try:
        catalogue, _ = read_catalogue(jobs.regions_file, allow_sandbox=jobs.allow_sandbox)
    except ConfigError as error:
        log.warning("no judge's labels count: %s", error.detail)
        return None
    return catalogue.judge.id if catalogue.judge else None


def serve(db: Database, analyst: Analyst, health: LoopHealth | None = None, loop: Loop | None = None) -> int:
    """Analyse in a thread until a signal. Return 0 after a signal, 1 if the work breaks; at most four seconds later.

    Each job is a turn of `loop`, a loop of `health`.
    """
    health = health or LoopHealth(db.settings.process.stall_seconds)
    loop = loop or health.add("analyst")
    stopped = threading.Event()
    ends: SimpleQueue[int] = SimpleQueue()  # reentrant: a signal handler may put into it at any moment
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ends.put(0))
    heartbeat = Heartbeat(db, "analyst")
    heartbeat.start(loop=health.add("heartbeat"))
    health.all_added()

    def run() -> None:
        try:
            work(analyst, stopped, loop)
        except Exception:
            log.exception("unexpected error, the process ends")
            ends.put(1)

    thread = threading.Thread(target=run, name="analyst", daemon=True)
    thread.start()
    log.info("analysing method=%s", analyst.method)
    code = ends.get()
    health.stop()
    stopped.set()
    thread.join(STATEMENT_SECONDS)
    _leave(db, heartbeat)
    log.info("stopped")
    return code


def work(analyst: Analyst, stopped: threading.Event, loop: Loop | None = None) -> None:
    """Analyse until no job is due, wait, and repeat. While the database does not work, try again and again.

    Each look and each job is a turn of `loop`.
    """
    loop = loop or Loop("analyst")
    pause = 0.0
    while not stopped.is_set():
        try:
            taken = analyst.analyse_due()
            pause = 0.0
            loop.turned()
        except (psycopg.Error, PoolTimeout) as error:
            pause = min(max(2 * pause, 0.1), MAX_PAUSE_SECONDS)
            log.warning("can't analyse, ended jobs wait in the database: %s", error)
            loop.turned(problem_of(error))
            stopped.wait(pause)
            continue
        if not taken:
            stopped.wait(LOOK_SECONDS)


def _leave(db: Database, heartbeat: Heartbeat) -> None:
    """Remove the process's row and close the connections, for LAST_SECONDS at most."""

    def leave() -> None:
        heartbeat.stop()
        db.close()

    leaving = threading.Thread(target=leave, name="leave", daemon=True)
    leaving.start()
    leaving.join(LAST_SECONDS)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # a thread may still compute
