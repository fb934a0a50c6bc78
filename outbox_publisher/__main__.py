"""`python -m outbox_publisher`: publish, sweep, remove old rows, read gauges. Several publishers may run at once."""

# The imports below take long.
if __name__ == "__main__":
    from runner_core.server_start import begin

    begin()

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import psycopg
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError

from outbox_publisher import gauges
from outbox_publisher.aside import Aside
from outbox_publisher.fill import fill_old
from outbox_publisher.listener import OutboxListener
from outbox_publisher.regions_files import RegionsFiles
from outbox_publisher.relay import publish_batch
from outbox_publisher.retention import nothing_aside, remove_old
from outbox_publisher.sweeper import Sweeper
from runner_core.collector import freeze_gc
from runner_core.db import Database
from runner_core.errors import ConfigError, NotReady
from runner_core.heartbeat import Heartbeat
from runner_core.loop_health import Loop, LoopHealth, problem_of
from runner_core.metrics_server import serve_metrics
from runner_core.readiness import wait_until_ready
from runner_core.telemetry import OUTBOX_PUBLISH_ERRORS, setup_logging
from runner_queue.addresses import settings_from
from runner_queue.broker import Broker
from runner_queue.connection import open_client
from runner_queue.guard import Guard
from runner_queue.inspection import PUBLISHER_COMMANDS
from runner_queue.stack_marker import identity

log = logging.getLogger("publisher")
SWEEP_SECONDS = 1.0
GAUGE_SECONDS = 5.0
RETENTION_SECONDS = 60.0
MAX_PAUSE_SECONDS = 2.0
NO_REDIS = "Redis refused or did not answer"
LAST_SECONDS = 3.0  # the part of the grace that is kept for closing connections and ending
# The interpreter's switch interval (default 5 ms): the relay must not wait long for the threads of sweeper and gauges.
SWITCH_SECONDS = 0.0005


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT.

    Returns 1 if the database is not ready or the relay broke, 2 for a mistake in the configuration.
    """
    argparse.ArgumentParser(
        prog="python -m outbox_publisher", description="Pushes outbox rows to Redis, and sends lost messages again."
    ).parse_args(argv)
    freeze_gc()
    try:
        settings = settings_from(process="publisher")
        health = LoopHealth(settings.process.stall_seconds)
        serve_metrics("publisher", settings.process.metrics_host, settings.process.metrics_port, health)
    except ConfigError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    setup_logging("publisher", as_json=settings.process.log_json)
    sys.setswitchinterval(SWITCH_SECONDS)
    db = Database(settings, "publisher").open()
    try:
        wait_until_ready(db, settings.process.probe_seconds)
        seconds = settings.redis.timeout_seconds
        redis = open_client(settings.redis.url, answer_seconds=seconds, connect_seconds=seconds)
        guard = Guard(redis, identity(db), PUBLISHER_COMMANDS, owns=True, fence=db.fence, identify=lambda: identity(db))
        guard.admit(settings.process.probe_seconds)
    except (NotReady, ConfigError) as error:
        log.error("not ready: %s", error.detail)
        return 2 if isinstance(error, ConfigError) else 1
    return serve(db, guard, health)


def serve(db: Database, guard: Guard | None = None, health: LoopHealth | None = None) -> int:
    """Run the publisher's threads. Return 0 after a signal, 1 if the relay breaks.

    Returns within STOP_GRACE_SECONDS after that. A transaction that is still under way is rolled back; the next process
    repeats it. The sweeper's thread updates `guard`, the relay's thread reads it.
    """
    health = health or LoopHealth(db.settings.process.stall_seconds)
    stopped = threading.Event()
    listener = OutboxListener(db.settings, lambda: db.drained_at, db.fence)
    ends: SimpleQueue[int] = SimpleQueue()  # reentrant: a signal handler may put into it at any moment

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ends.put(0))
    heartbeat = Heartbeat(db, "publisher")
    heartbeat.start(loop=health.add("heartbeat"))
    listener.start()
    threads = _threads(db, listener, stopped, guard, ends, health)
    health.all_added()
    for thread in threads:
        thread.start()
    log.info("publishing batch=%d", db.settings.outbox.batch)
    code = ends.get()
    health.stop()
    stopped.set()
    listener.stop()
    _join(threads, db.settings.process.stop_grace_seconds - LAST_SECONDS)
    if not threads[0].is_alive():  # the relay's thread uses the listener's connection
        listener.close()
    _leave(db, heartbeat)
    log.info("stopped")
    return code


def _threads(
    db: Database,
    listener: OutboxListener,
    stopped: threading.Event,
    guard: Guard | None,
    ends: SimpleQueue[int],
    health: LoopHealth,
) -> list[threading.Thread]:
    """Return the publisher's threads, the relay first. They are not started yet."""
    relaying, sweeping, measuring = (health.add(name) for name in ("relay", "sweeper", "gauges"))
    removing = Loop("retention")  # a pass may take long, and nobody waits for its end
    sweeper = Sweeper(db, Broker(db.settings), sweeping.progressed)
    asides, files = nothing_aside(), RegionsFiles(db)

    def sweep() -> str:
        if guard:
            guard.look()
            sweeping.progressed()
        if sweeper.run_once():
            listener.wake()
        return "" if sweeper.redis_answers else NO_REDIS

    def measure() -> None:
        gauges.refresh(db, measuring.progressed)
        files.refresh()

    def remove() -> None:
        remove_old(db, asides)
        fill_old(db)

    def relay() -> None:
        try:
            publish(db, listener, stopped, guard, relaying)
        except Exception:
            log.exception("unexpected error while publishing, the process ends")
            ends.put(1)

    threads = [threading.Thread(target=relay, name="relay", daemon=True)]
    for loop, seconds, work in (
        (sweeping, SWEEP_SECONDS, sweep),
        (measuring, GAUGE_SECONDS, measure),
        (removing, RETENTION_SECONDS, remove),
    ):
        threads.append(threading.Thread(target=every, args=(seconds, work, stopped, loop), name=loop.name, daemon=True))
    return threads


def _join(threads: list[threading.Thread], seconds: float) -> None:
    """Wait until the threads have ended, and at most `seconds`."""
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if left := [thread.name for thread in threads if thread.is_alive()]:
        log.warning("stopping without waiting any longer, uncommitted work is rolled back: %s", ", ".join(left))


def _leave(db: Database, heartbeat: Heartbeat) -> None:
    """Remove the process's row and close the connections, for the rest of the grace at most."""

    def leave() -> None:
        heartbeat.stop()
        db.close()

    leaving = threading.Thread(target=leave, name="leave", daemon=True)
    leaving.start()
    leaving.join(LAST_SECONDS - 0.5)


def publish(
    db: Database,
    listener: OutboxListener,
    stopped: threading.Event,
    guard: Guard | None = None,
    loop: Loop | None = None,
) -> None:
    """Publish until no row waits, then wait for a notification, and repeat. After a full batch more rows may wait.

    Nothing is pushed while Redis belongs to another stack. Each batch is a turn of `loop`.
    """
    loop = loop or Loop("relay")
    broker = Broker(db.settings)
    aside, pause = Aside[int]("publish", loop.progressed), 0.0
    while not stopped.is_set():
        if guard and guard.foreign:
            loop.turned(guard.foreign)
            listener.wait()
            continue
        loop.progressed()  # so that the wait and the batch after it do not add up
        try:
            claimed = publish_batch(db, broker, aside)
            pause = 0.0
            loop.turned()
        except (RedisError, psycopg.Error, PoolTimeout) as error:
            if isinstance(error, RedisError):
                OUTBOX_PUBLISH_ERRORS.inc()
            pause = min(max(2 * pause, 0.1), MAX_PAUSE_SECONDS)
            log.warning("can't publish, accepted jobs stay in the outbox: %s", error)
            loop.turned(NO_REDIS if isinstance(error, RedisError) else problem_of(error))
            stopped.wait(pause)
            listener.consume()
            continue
        if claimed < db.settings.outbox.batch:
            listener.wait()
    broker.close()


def every(seconds: float, work: Callable[[], str | None], stopped: threading.Event, loop: Loop) -> None:
    """Call `work` every `seconds`; the call is a turn of `loop`, and may return the turn's problem.

    A failure is logged and counted, and does not end the loop.
    """
    while not stopped.is_set():
        began = time.monotonic()
        try:
            problem = work() or ""
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("%s failed: %s", threading.current_thread().name, error)
            problem = problem_of(error)
        except Exception as error:
            log.exception("unexpected error in %s", threading.current_thread().name)
            problem = problem_of(error)
        loop.turned(problem)
        stopped.wait(max(0.0, seconds - (time.monotonic() - began)))


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # a thread may still execute a statement, and would crash during the interpreter's exit
