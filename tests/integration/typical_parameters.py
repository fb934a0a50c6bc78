"""The parameters that statements are typically asked with in a crowded database, and what a case is."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from outbox_publisher.sweep import PAGE
from runner_core.grants import as_arrays, rights
from runner_core.limits import MAX_COUNTED
from runner_core.statuses import ALIVE_SECONDS, STUCK_SECONDS
from tests.cells import CELL
from tests.integration.crowd import ENDED, QUEUED, job_id, region, token

USUAL = 500  # buffers: some keys, a page of a list, or a batch of twenty rows
MOST = 2000  # buffers: more needs a reason that bounds it
# Not explained: two say LISTEN, five belong to `beacon migrate`, and the canary asks about one job of its own.
LEFT_OUT = {"bell.listen_outbox", "bell.listen_jobs", "migrations.lock", "migrations.create", "migrations.record"}
LEFT_OUT |= {"migrations.lead", "migrations.schema", "canary.rows"}

NOW = datetime.now(UTC)
NOBODY: dict[str, Any] = {"left_out": []}
ALIVE, COUNT = {"alive_seconds": ALIVE_SECONDS}, {"most": MAX_COUNTED}
STUCK = {"stuck_seconds": STUCK_SECONDS}
COUNTS = "up to 10,000 rows are counted in an index"
REGIONS = "of each set of regions up to 10,000 jobs are read, three a page"
RIGHTS = as_arrays(rights(CELL)) | {"schema": CELL.schema}
REASON = '{"code": "timeout", "message": "late"}'


@dataclass(frozen=True)
class Case:
    """Parameters, the processes that ask so, the buffers that it may read, and why these are more than usual."""

    processes: str
    params: dict[str, Any] = field(default_factory=dict)
    most: int = USUAL
    why: str = ""


def of_jobs(numbers: range, **more: Any) -> dict[str, Any]:
    return {"job_ids": [job_id(n) for n in numbers], "regions": [region(n) for n in numbers], **more}


ended, queued, running = 50_000, ENDED + 15_000, ENDED + QUEUED + 100
waiting = range(queued, queued + 20)
held = range(running, running + 20)
leases = of_jobs(held, tokens=[token(n) for n in held])
units = {"job_id": leases["job_ids"], "region": leases["regions"], "token": leases["tokens"], "model_id": ["m1"] * 20}
calls = {**units, "question_id": ["q1"] * 20, "run_no": [1] * 20, "provider_id": ["p"] * 20}
times = {"completed_at": [NOW] * 20, "duration_ms": [5] * 20}
page = [job_id(n) for n in range(queued, queued + PAGE)]
process = {"kind": "worker", "region": "US", "host": "h", "pid": 1, "version": "1"}
job = {"job_id": job_id(ended)}
failed = {"job_id": job_id(60_020)}
open_job = {"job_id": job_id(running)}
submitted = [
    {"id": f"new-{n}", "plan": {"US": ["m1"], "EU": ["m1"]}, "questions": [], "runs": 1, "min_regions": 1}
    | {
        "min_success_rate": 1,
        "timeout_seconds": 60,
        "provider_timeout_seconds": 30,
        "request_id": "",
        "traceparent": "",
    }
    | {
        "public_key": "key-1",
        "signature_form": "jcs",
        "digest": "\\x00",
        "spec": {},
        "spec_raw": "\\x00",
        "key": f"k{n}",
    }
    | {"nonce": f"n{n}", "actor": "a", "regions": [{"region": "US", "units": 1}, {"region": "EU", "units": 1}]}
    for n in range(20)
]
COUNTED = "fifty jobs, each with its regions and units where it has not kept their number"
place = {"before": str(NOW - timedelta(days=3)), "before_id": job_id(ended), "page": 51, "progress": True}
act = {"actor": "a", "action_id": "x"}
