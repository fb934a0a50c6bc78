"""RQ's own `rq` program, untouched but for the engine behind run_region: arguments as for `rq`."""

import os
import sys
from types import SimpleNamespace

from recording import RecordingRunner
from rq.cli import main

from runner_core.cells import PUBLIC_CELL, Cell
from runner_worker.rq import tasks

catalogue = SimpleNamespace(regions={"US": None, "EU": None})
engines: dict[int, RecordingRunner] = {}


def engine() -> tuple[SimpleNamespace, Cell, RecordingRunner]:
    return catalogue, PUBLIC_CELL, engines.setdefault(os.getpid(), RecordingRunner(os.environ["RECORD_URL"]))


tasks.engine = engine  # type: ignore[assignment]
main(sys.argv[1:])
