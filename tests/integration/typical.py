"""What each statement is typically asked in a crowded database, by which process, and how much it may read then."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from outbox_publisher.retention import BATCH, JOBS_BATCH
from outbox_publisher.sweep import PAGE
from runner_core.grants import as_arrays, logins, rights
from runner_core.limits import MAX_COUNTED, MAX_COUNTED_BY_STATUS, MAX_SEARCHED
from runner_core.session import LIMITS
from runner_core.statuses import ALIVE_SECONDS
from tests.integration.crowd import ENDED, QUEUED, job_id, region, token

USUAL = 500  # buffers: some keys, a page of a list, or a batch of twenty rows
MOST = 2000  # buffers: more needs a reason that bounds it
# Not explained: two say LISTEN, three belong to `beacon migrate`, and the canary asks about one job of its own.
LEFT_OUT = {"bell.listen_outbox", "bell.listen_jobs", "migrations.lock", "migrations.create", "migrations.record"}
LEFT_OUT |= {"canary.rows"}

NOW = datetime.now(UTC)
NOBODY: dict[str, Any] = {"left_out": []}
ALIVE, COUNT = {"alive_seconds": ALIVE_SECONDS}, {"most": MAX_COUNTED}
COUNTS = "up to 10,000 rows are counted in an index"
REGIONS = "of each set of regions up to 10,000 jobs are read, three a page"
RIGHTS = as_arrays(rights())
REASON = '{"code": "timeout", "message": "late"}'


@dataclass(frozen=True)
class Case:
    """Parameters, the processes that ask so, the buffers that it may read, and why these are more than usual."""

    processes: str
    params: dict[str, Any] = field(default_factory=dict)
    most: int = USUAL
    why: str = ""


def _of(numbers: range, **more: Any) -> dict[str, Any]:
    return {"job_ids": [job_id(n) for n in numbers], "regions": [region(n) for n in numbers], **more}


ended, queued, running = 50_000, ENDED + 15_000, ENDED + QUEUED + 100
waiting = range(queued, queued + 20)
held = range(running, running + 20)
leases = _of(held, tokens=[token(n) for n in held])
units = {**leases, "model_ids": ["m1"] * 20}
calls = {**units, "question_ids": ["q1"] * 20, "run_nos": [1] * 20, "provider_ids": ["p"] * 20}
times = {"completed_ats": [NOW] * 20, "durations": [5] * 20}
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

CASES: dict[str, list[Case]] = {
    "answers.start": [Case("worker", calls)],
    "tries.begin": [
        Case(
            "worker",
            {"job_id": job_id(running), "region": region(running), "token": token(running), "model_id": "m1"}
            | {"question_id": "q1", "run_no": 1, "attempt": 1, "number": 2, "provider_id": "p"},
        )
    ],
    "tries.withdraw": [
        Case(
            "worker",
            {name: calls[name] for name in ("job_ids", "regions", "model_ids", "question_ids", "run_nos")}
            | {"attempts": [1] * 20, "numbers": [1] * 20},
        )
    ],
    "answers.finish": [
        Case(
            "worker",
            {**calls, **times, "attempts": [1] * 20, "statuses": ["ok"] * 20, "calls": [1] * 20}
            | {"outputs": ['{"response": "r"}'] * 20, "error_details": [None] * 20, "earlier": ["[]"] * 20},
        )
    ],
    "bell.ring": [Case("api publisher worker", {"channels": ["beacon_jobs"], "payloads": ["x"]})],
    "db.settings": [
        Case(
            "api publisher worker",
            {**LIMITS, "statement_timeout": "5000", "lock_timeout": "0", "enable_seqscan": "on", "local": True},
        )
    ],
    "doctor.settings": [Case("doctor", {"names": ["fsync"]})],
    "doctor.alive": [Case("doctor", ALIVE)],
    "executions.kept": [Case("worker", {**units, "completed_ats": [NOW] * 20})],
    "executions.record": [
        Case(
            "worker",
            {**units, **times, "statuses": ["completed"] * 20, "provider_ids": ["p"] * 20, "started_ats": [NOW] * 20}
            | {"failed_answers": [0] * 20, "retry_counts": [0] * 20, "error_details": [None] * 20}
            | {"outputs": ['{"r": 1}'] * 20, "parameters": ["{}"] * 20, "receipts": [None] * 20},
            MOST,
            "each unit is a row of 1 kB with four indexes, and an event",
        )
    ],
    "idempotency.find": [Case("api", {"key": f"job:{job_id(ended)}"})],
    "idempotency.expire": [Case("api", {"key": f"job:{job_id(ended)}"})],
    "identity.database": [Case("publisher worker doctor")],
    "identity.server": [Case("publisher worker doctor")],
    "nonces.find": [Case("api", {"public_key": "key-1", "nonce": "n"})],
    "nonces.spend": [Case("api", {"public_key": "key-1", "nonce": "n", **job})],
    "jobs.submit": [
        Case(
            "api",
            {"jobs": json.dumps(submitted), "key_days": 7, "notify": True, "queue_timeout_seconds": 60},
            MOST,
            "20 jobs of 2 regions",
        )
    ],
    "jobs.repeats": [
        Case(
            "api",
            {"job_ids": [f"new-{n}" for n in range(20)], "keys": [f"job:{job_id(n)}" for n in range(20)]}
            | {"public_keys": ["key-1"] * 20, "nonces": [f"n{n}" for n in range(20)]},
        )
    ],
    "jobs.lock": [Case("api", {"job_ids": [job_id(running)]}), Case("worker", {"job_ids": leases["job_ids"]})],
    "jobs.close": [
        Case("api", {"job_ids": [job_id(running)]}),
        Case("worker publisher", {"job_ids": leases["job_ids"]}, MOST, "twenty jobs with their regions and units"),
    ],
    "jobs.cancel": [Case("api", {**open_job, **act})],
    "jobs.cancel_units": [Case("api", {**open_job, "reason": REASON})],
    "jobs.reopen_units": [
        Case("api", {**failed, "region": None, "model_id": None, "question_id": None, "more_attempts": 3})
    ],
    "jobs.reopen": [Case("api", {**job, "actor": "a", "detail": "{}", "queue_timeout_seconds": 60})],
    "jobs.state": [Case("api", job)],
    "jobs.stored": [Case("api", job)],
    "jobs.action": [Case("api", {**job, "action_id": "x"})],
    "metrics.outbox": [Case("publisher doctor", COUNT, MOST, COUNTS)],
    "metrics.jobs": [Case("publisher", COUNT, MOST, COUNTS)],
    "metrics.late": [
        Case(
            "publisher doctor",
            {"grace_seconds": 45, **COUNT},
            MOST,
            "each of 200 running jobs is asked for its deadline",
        )
    ],
    "metrics.regions": [Case("publisher", ALIVE, 5 * MOST, REGIONS)],
    "migrations.applied": [Case("api publisher worker doctor")],
    "outbox.claim": [
        Case("publisher", {"batch": 100, **NOBODY}, MOST, "a hundred rows are locked, and their jobs asked")
    ],
    "outbox.mark": [Case("publisher", {"ids": list(range(ended, ended + 20)), "dispatch_ids": ["d"] * 20})],
    "outbox.fail": [
        Case(
            "publisher",
            {"ids": list(range(ended, ended + 20)), "errors": ["e"] * 20, "max_attempts": 10, "dead_after_seconds": 9},
        )
    ],
    "outbox.stage": [
        Case("api", {"job_ids": [job_id(running)], "regions": ["US"], "reasons": ["retry"]}),
        Case(
            "publisher worker",
            _of(waiting, reasons=["message_lost"] * 20),
            MOST,
            "for each of 20 regions a message, an event, and a new version of its job",
        ),
    ],
    "outbox.withdraw": [Case("api", open_job)],
    "outbox.settle": [Case("api", {**open_job, "regions": ["US"]})],
    "portal.counts": [Case("api", {"most": MAX_COUNTED_BY_STATUS})],
    "portal.search": [
        Case(
            "api",
            {"wanted": "cafe", "newest": MAX_SEARCHED, "page": 51},
            MOST,
            "the ids of the newest 20,000 jobs are read in the index",
        )
    ],
    "portal.job": [Case("api", job)],
    "portal.regions": [Case("api", job), Case("api", open_job)],
    "portal.held": [Case("api", {"few": 4})],
    "portal.hour": [Case("api")],
    "preflight.server": [Case("api publisher worker doctor")],
    "preflight.switches": [Case("doctor", {"logins": list(logins())})],
    "processes.beat": [
        Case("api publisher worker", {"process_id": "p", "regions_sha": "x", "concurrency": 64, **process})
    ],
    "processes.read": [Case("api publisher worker", {"process_id": "p"})],
    "processes.leave": [Case("api publisher worker", {"process_id": "p"})],
    "readiness.grow": [Case("api publisher worker")],
    "processes.other_regions_file": [Case("api publisher doctor", ALIVE)],
    "reads.job": [Case("api", job), Case("api", open_job)],
    "reads.jobs": [Case("api", {**place, **p}, MOST, COUNTED) for p in ({}, {"before": "infinity", "before_id": ""})],
    "reads.jobs_by_status": [
        Case("api", {**place, "status": s}, MOST, COUNTED) for s in ("completed", "cancelled", "queued")
    ],
    "reads.rows": [Case("api", job), Case("api", open_job)],
    "reads.executions": [
        Case("api", {"before": "infinity", "before_id": 0, "page": 51, "skip": 0}),
        Case("api", {"before": str(NOW - timedelta(days=3)), "before_id": 7, "page": 51, "skip": 0}),
        Case("api", {"before": "infinity", "before_id": 0, "page": 51, "skip": 10_000}),
    ],
    "reads.execution": [Case("api", {"result_id": ended}), Case("api", {"result_id": ENDED + 3 * ended})],
    "reads.answer": [Case("api", {"result_id": ENDED + 3 * ended})],
    "reads.answers": [Case("api", {**job, "region": region(ended), "model_id": "m1"})],
    "reads.cross_region": [
        Case("api", {"cross_region_id": None, **job}),
        Case("api", {"cross_region_id": "0b3eba6f-79c5-4bd1-8f0c-000000000000", "job_id": "no job"}),
    ],
    "reads.region_results": [Case("api", job)],
    "reads.summary": [Case("api", job)],
    "reads.events": [Case("api", {**job, "after": 0, "page": 1000})],
    "reads.version": [Case("api", job)],
    "reads.watched": [Case("api", {"job_ids": leases["job_ids"]})],
    "reads.processes": [Case("api", ALIVE)],
    "reads.alive": [Case("api", ALIVE)],
    "reads.queues": [Case("api", {}, 5 * MOST, REGIONS)],
    "reads.outbox": [Case("api", {"page": 50})],
    "reads.outbox_counts": [Case("api", COUNT, MOST, COUNTS)],
    "reads.dead": [Case("api", {"page": 50})],
    "reads.stuck": [Case("api", {"page": 50})],
    "reads.overdue": [
        Case(
            "api",
            {"grace_seconds": 45, "page": 50, **COUNT},
            MOST,
            "each of 200 running jobs is asked for its deadline",
        )
    ],
    "reads.open_regions": [Case("api", open_job)],
    "reads.outbox_row": [Case("api", {"outbox_id": ended})],
    "region_runs.claim": [
        Case(
            "worker",
            _of(waiting, tokens=[token(n) for n in waiting], max_attempts=3, lease_seconds=15, worker="w"),
            MOST,
            "twenty leases",
        )
    ],
    "region_runs.stored": [Case("worker", _of(held))],
    "region_runs.hold": [Case("worker", leases)],
    "region_runs.beat": [Case("worker", {**leases, "lease_seconds": 15})],
    "region_runs.lost": [Case("worker", leases)],
    "region_runs.close": [Case("api worker publisher", {"job_ids": leases["job_ids"]})],
    "region_runs.release": [
        Case("worker", {**leases, "unbegun": [False] * 20}, MOST, "twenty leases, versions and events")
    ],
    "sessions.ended": [Case("api", {"session_id": "0" * 64})],
    "sessions.end": [Case("api", {"session_id": "0" * 64})],
    "sweep.lead": [Case("publisher", {"work": 1})],
    "sweep.expired": [Case("publisher", {"page": PAGE, **NOBODY})],
    "sweep.lock": [Case("publisher", {"job_ids": leases["job_ids"]})],
    "sweep.page": [Case("publisher", {"after": "job-5", "page": PAGE, **NOBODY}, MOST, "a page of 500 jobs is locked")],
    "sweep.clear": [Case("publisher", {"job_ids": leases["job_ids"]})],
    "sweep.doomed": [
        Case(
            "publisher",
            {"job_ids": page},
            12 * PAGE,
            "a page of 500 jobs: for each its row, its run and its newest message",
        )
    ],
    "sweep.end": [
        Case(
            "publisher",
            _of(waiting, reasons=[REASON] * 20),
            MOST,
            "twenty regions end: a run, an execution, an event and a version for each",
        )
    ],
    "sweep.silent": [
        Case("publisher", {"job_ids": page, "as_of": NOW - timedelta(seconds=30)}, 12 * PAGE, "as sweep.doomed")
    ],
    "rights.logins": [Case("doctor", {"logins": list(logins())})],
    "rights.missing": [Case("api publisher worker doctor", RIGHTS, MOST, "each right is looked up in the catalogues")],
    "rights.database": [Case("doctor")],
    "sweep.clock": [Case("publisher doctor")],
    "sweep.topics": [Case("publisher")],
    "retention.outbox_due": [
        Case("publisher", {"batch": BATCH, "days": 7, **NOBODY}),
        Case(
            "publisher", {"batch": BATCH, "days": 1, **NOBODY}, 10 * BATCH, "locks 5,000 rows and asks for their jobs"
        ),
    ],
    "retention.outbox": [
        Case("publisher", {"ids": list(range(ended, ended + BATCH))}, 8 * BATCH, "removes 5,000 rows")
    ],
    "retention.keys_due": [Case("publisher", {"batch": BATCH, **NOBODY})],
    "retention.keys": [
        Case("publisher", {"keys": [f"job:{job_id(n)}" for n in range(BATCH)]}, 8 * BATCH, "removes 5,000 rows")
    ],
    "retention.nonces_due": [
        Case("publisher", {"batch": BATCH, "days": 7, **NOBODY}),
        Case("publisher", {"batch": BATCH, "days": 1, **NOBODY}, 8 * BATCH, "locks 5,000 rows"),
    ],
    "retention.nonces": [
        Case("publisher", {"places": [f"({n},1)" for n in range(500)]}, MOST, "removes 500 rows of as many pages")
    ],
    "retention.processes": [Case("publisher")],
    "retention.jobs_due": [
        Case("publisher", {"batch": JOBS_BATCH, "days": 30, **NOBODY}),
        Case("publisher", {"batch": JOBS_BATCH, "days": 1, **NOBODY}),
    ],
    "retention.jobs": [
        Case(
            "publisher",
            {"job_ids": [job_id(n) for n in range(1, JOBS_BATCH + 1)]},
            80 * JOBS_BATCH,
            "removes 100 jobs with the rows of six tables",
        ),
    ],
}
