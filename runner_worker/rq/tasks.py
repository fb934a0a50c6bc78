"""The one function that messages name. A stock `rq worker` on the same queues calls it.

The project's own RegionWorker does not call it, but passes messages to the engine in batches.
"""

import os
import threading

from rq import get_current_job

from runner_core.cells import Cell
from runner_core.db import Database
from runner_core.errors import BeaconError
from runner_core.message import topic as topic_of
from runner_core.regions import Catalogue
from runner_core.telemetry import setup_logging
from runner_worker.configuration import Configuration
from runner_worker.engine import Message, RegionRunner

_building = threading.Lock()
_runner: tuple[int, Catalogue, Cell, RegionRunner] | None = None


class RunFailed(BeaconError):
    """The region run ended with an error; the sweeper stages it again."""

    code = "run_failed"


def run_region(id: str, enqueued_at: str, attempt: int, request_id: str) -> str:
    """Run one region of job `id` and return its outcome when it has ended for this process.

    The queue of the RQ job tells the region. `enqueued_at` and `attempt` are information for people; the claim counts
    attempts. Raises RunFailed outside an RQ job, for a queue of no region, and if the engine reports an error. The
    status that RQ then gives its job has no effect here.
    """
    job = get_current_job()
    if job is None:
        raise RunFailed("run_region was called outside an RQ job")
    catalogue, cell, runner = engine()
    region = region_of(job.origin, catalogue, cell)
    message = Message(job_id=id, region=region, request_id=request_id, dispatch_id=job.id)
    ended = threading.Event()
    outcomes: list[str] = []

    def done(_: Message, outcome: str) -> None:
        outcomes.append(outcome)
        ended.set()

    runner.submit([message], done)
    ended.wait()
    if outcomes == ["error"]:
        raise RunFailed
    return outcomes[0]


def region_of(queue: str, catalogue: Catalogue, cell: Cell) -> str:
    """Return the region whose queue in `cell` is `queue`. Raises RunFailed when there is none."""
    for region in catalogue.regions:
        if cell.queue(topic_of(region)) == queue:
            return region
    raise RunFailed(f"no region has the queue {queue!r}")


def engine() -> tuple[Catalogue, Cell, RegionRunner]:
    """Return the catalogue, the cell and the engine of this process. The first job builds them.

    They are not built earlier, because a fork must not share its parent's connections and does not have its threads.
    """
    global _runner
    with _building:
        if _runner is None or _runner[0] != os.getpid():
            read = Configuration.from_env()
            settings, catalogue = read.settings, read.catalogue
            setup_logging(
                "worker",
                as_json=settings.process.log_json,
                secret_names=read.secret_names,
                secret_values=read.secret_values,
            )
            db = Database(settings, "worker").open()
            name = f"rq-{os.uname().nodename}-{os.getpid()}"
            runner = RegionRunner(db, settings, catalogue, read.providers, name, read.receipt_key)
            _runner = (os.getpid(), catalogue, settings.database.cell, runner)
        return _runner[1:]
