"""A RegionWorker for region US with a recording engine: URL ROOM BATCH GRACE. Its log goes to stderr."""

import logging
import os
import sys

from recording import RecordingRunner

from runner_worker.rq.worker import RegionWorker, connect, worker_name

url, room, batch, grace = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
worker = RegionWorker(
    ["beacon-us"],
    worker_name("US"),
    RecordingRunner(url, room),  # type: ignore[arg-type]
    connect(url, 1.0),
    region="US",
    claim_batch=batch,
    grace_seconds=grace,
)
os._exit(0 if worker.work() else 1)
