"""A RegionWorker for region US with a recording engine: URL ROOM BATCH GRACE. Its log goes to stderr.

With a fifth argument, `quiet`, it waits for messages and does nothing else: no idle rounds, no reports.
"""

import logging
import os
import sys

from recording import RecordingRunner

from runner_worker.rq import registration
from runner_worker.rq import worker as rq_worker
from runner_worker.rq.worker import RegionWorker, connect, worker_name

url, room, batch, grace = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
if sys.argv[5:] == ["quiet"]:
    rq_worker.BLOCK_SECONDS = registration.PUBLISH_SECONDS = 1e6
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
