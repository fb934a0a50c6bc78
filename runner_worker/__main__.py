"""`python -m runner_worker --region US`: the worker of one region, as the Procfile starts it."""

# The imports below take long.
if __name__ == "__main__":
    from runner_core.server_start import begin

    begin()

import argparse
import logging
import os
import sys
from dataclasses import replace

from runner_core.collector import freeze_gc
from runner_core.db import Database
from runner_core.errors import ConfigError, NotReady
from runner_core.heartbeat import Heartbeat
from runner_core.loop_health import LoopHealth
from runner_core.message import topic
from runner_core.metrics_server import serve_metrics
from runner_core.readiness import wait_until_ready
from runner_core.settings import Settings
from runner_core.telemetry import begin_at_zero, setup_logging
from runner_queue.guard import Guard
from runner_queue.inspection import WORKER_COMMANDS
from runner_queue.stack_marker import identity
from runner_worker.configuration import Configuration
from runner_worker.engine import RegionRunner
from runner_worker.judging import judging_of
from runner_worker.providers.outcomes import FAULTS, PAID
from runner_worker.providers.state import as_json
from runner_worker.rq.worker import RegionWorker, connect, worker_name

logger = logging.getLogger("worker")

# The part of the grace that is kept for releasing leases and removing registrations before the supervisor's SIGKILL.
RELEASE_SECONDS = 3.0


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal. Return 0 after a warm shutdown, 1 if the database is not ready or a second signal came, 2
    for a usage or configuration error."""
    arguments = _arguments(argv)
    try:
        read = Configuration.from_env(region=arguments.region)
        region, catalogue, providers = read.region, read.catalogue, read.providers
        settings = _overridden(read.settings, arguments)
        begin_at_zero(region, {it.id: it.models for it in catalogue.providers}, ("ok", *FAULTS), PAID)
        health = LoopHealth(settings.process.stall_seconds)
        serve_metrics("worker", settings.process.metrics_host, settings.process.metrics_port, health)
    except ConfigError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 2
    setup_logging(
        "worker", as_json=settings.process.log_json, secret_names=read.secret_names, secret_values=read.secret_values
    )
    db = Database(settings, "worker").open()
    redis = connect(settings.redis.url, settings.redis.timeout_seconds)
    try:
        wait_until_ready(db, settings.process.probe_seconds)
        guard = Guard(redis, identity(db), WORKER_COMMANDS, owns=False, fence=db.fence, identify=lambda: identity(db))
        guard.admit(settings.process.probe_seconds)
    except (NotReady, ConfigError) as error:
        sys.stderr.write(f"{error.detail}\n")
        return 2 if isinstance(error, ConfigError) else 1
    name = worker_name(region)
    heartbeat = Heartbeat(db, "worker", region, settings.worker.concurrency, catalogue.sha256)
    runner = RegionRunner(
        db,
        settings,
        catalogue,
        providers,
        name,
        read.receipt_key,
        changed=heartbeat.wake,
        add_loop=health.add,
    )
    worker = RegionWorker(
        [settings.database.cell.queue(topic(region))],
        name,
        runner,
        redis,
        region=region,
        claim_batch=settings.worker.claim_batch,
        grace_seconds=_seconds_for_calls(settings.process.stop_grace_seconds),
        cell=settings.database.cell,
        guard=guard,
        health=health,
    )
    heartbeat.start(lambda: as_json(runner.provider_states.newest), health.add("heartbeat"))
    health.all_added()
    judging = judging_of(read, db, runner.free, lambda: runner.provider_states.newest)
    if judging:
        judging.start()
    freeze_gc()
    logger.info("worker started region=%s name=%s concurrency=%d", region, name, settings.worker.concurrency)
    ended = worker.work()
    if judging:
        judging.stop()
    if not ended:
        logging.shutdown()
        os._exit(1)  # calls are still under way, and the interpreter would wait for threads
    runner.close()
    heartbeat.stop()
    providers.close()
    db.close()
    logger.info("worker stopped region=%s name=%s", region, name)
    return 0


def _overridden(settings: Settings, arguments: argparse.Namespace) -> Settings:
    """Return the settings with what the command line says instead."""
    worker = replace(
        settings.worker,
        concurrency=arguments.concurrency or settings.worker.concurrency,
        claim_batch=arguments.claim_batch or settings.worker.claim_batch,
    )
    return replace(settings, worker=worker)


def _seconds_for_calls(grace_seconds: float) -> float:
    """Return the part of STOP_GRACE_SECONDS in which calls that are under way may end."""
    return max(grace_seconds - RELEASE_SECONDS, grace_seconds / 2)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m runner_worker", description="Runs the jobs of one region.")
    parser.add_argument("--region", required=True, help="a region of REGIONS_FILE: US, EU, ...")
    parser.add_argument("--concurrency", type=_positive, metavar="N", help="provider calls at once [CONCURRENCY]")
    parser.add_argument("--claim-batch", type=_positive, metavar="N", help="the most regions per claim [CLAIM_BATCH]")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
