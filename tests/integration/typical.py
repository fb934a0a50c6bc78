"""What each statement is typically asked in a crowded database, and by which process. The reads: typical_reads.py."""

import json
from datetime import timedelta

from outbox_publisher import fill
from outbox_publisher.retention import BATCH, JOBS_BATCH
from outbox_publisher.sweep import PAGE
from runner_core.session import LIMITS
from tests.cells import CELL
from tests.integration.crowd import job_id, region, token
from tests.integration.typical_analyses import ANALYSES
from tests.integration.typical_parameters import (
    ALIVE,
    MOST,
    NOBODY,
    NOW,
    REASON,
    USUAL,
    Case,
    act,
    calls,
    ended,
    failed,
    held,
    job,
    leases,
    of_jobs,
    open_job,
    page,
    process,
    running,
    submitted,
    times,
    units,
    waiting,
)
from tests.integration.typical_reads import READS

CASES: dict[str, list[Case]] = (
    READS
    | ANALYSES
    | {
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
                {name: calls[name] for name in ("job_id", "region", "model_id", "question_id", "run_no")}
                | {"attempt": [1] * 20, "number": [1] * 20},
            )
        ],
        "answers.finish": [
            Case(
                "worker",
                {**calls, **times, "attempt": [1] * 20, "status": ["ok"] * 20, "calls": [1] * 20}
                | {"output": ['{"response": "r"}'] * 20, "error_detail": [None] * 20, "earlier": ["[]"] * 20}
                | {"served": ['{"model": "m"}'] * 20, "sent": ['{"seed": 7}'] * 20, "paid": ["yes"] * 20}
                | {"waited_ms": [1] * 20, "answered_ms": [4] * 20},
            )
        ],
        "bell.ring": [Case("api publisher worker", {"channels": ["jobs"], "payloads": ["x"]})],
        "db.settings": [
            Case(
                "api publisher worker analyst",
                {
                    **LIMITS,
                    "search_path": CELL.search_path,
                    "statement_timeout": "5000",
                    "lock_timeout": "0",
                    "enable_seqscan": "on",
                    "local": True,
                },
            )
        ],
        "executions.kept": [Case("worker", {**units, "completed_at": [NOW] * 20})],
        "executions.record": [
            Case(
                "worker",
                {**units, **times, "status": ["completed"] * 20, "provider_id": ["p"] * 20, "started_at": [NOW] * 20}
                | {"failed_answers": [0] * 20, "retry_count": [0] * 20, "error_detail": [None] * 20}
                | {"output": ['{"r": 1}'] * 20, "parameters": ["{}"] * 20, "receipt": [None] * 20}
                | {"served": ['[{"model": "m"}]'] * 20, "answered_ms": [4] * 20},
                MOST,
                "each unit is a row of 1 kB with four indexes, and an event",
            )
        ],
        "idempotency.find": [Case("api", {"key": f"job:{job_id(ended)}"})],
        "idempotency.expire": [Case("api", {"key": f"job:{job_id(ended)}"})],
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
            Case(
                "api",
                {**failed, "region": None, "model_id": None, "question_id": None, "units": None, "more_attempts": 3},
            )
        ],
        "jobs.reopen": [Case("api", {**job, "actor": "a", "detail": "{}", "queue_timeout_seconds": 60})],
        "jobs.state": [Case("api", job)],
        "jobs.stored": [Case("api", job)],
        "jobs.action": [Case("api", {**job, "action_id": "x"})],
        "outbox.claim": [
            Case("publisher", {"batch": 100, **NOBODY}, MOST, "a hundred rows are locked, and their jobs asked")
        ],
        "outbox.mark": [Case("publisher", {"ids": list(range(ended, ended + 20)), "dispatch_ids": ["d"] * 20})],
        "outbox.fail": [
            Case(
                "publisher",
                {
                    "ids": list(range(ended, ended + 20)),
                    "errors": ["e"] * 20,
                    "max_attempts": 10,
                    "dead_after_seconds": 9,
                },
            )
        ],
        "outbox.stage": [
            Case("api", {"job_ids": [job_id(running)], "regions": ["US"], "reasons": ["retry"]}),
            Case(
                "publisher worker",
                of_jobs(waiting, reasons=["message_lost"] * 20),
                MOST,
                "for each of 20 regions a message, an event, and a new version of its job",
            ),
        ],
        "outbox.withdraw": [Case("api", open_job)],
        "outbox.settle": [Case("api", {**open_job, "regions": ["US"]})],
        "processes.beat": [
            Case(
                "api publisher worker analyst",
                {
                    "process_id": "p",
                    "regions_sha": "x",
                    "concurrency": 64,
                    "providers": json.dumps([{}] * 200),
                    **process,
                },
            )
        ],
        "processes.read": [Case("api publisher worker analyst", {"process_id": "p"})],
        "processes.leave": [Case("api publisher worker analyst", {"process_id": "p"})],
        "readiness.grow": [Case("api publisher worker analyst")],
        "processes.of_earlier_releases": [Case("api", {"regions": ["US", "EU"], **ALIVE})],
        "processes.other_regions_file": [Case("api publisher doctor", ALIVE)],
        "region_runs.claim": [
            Case(
                "worker",
                of_jobs(waiting, tokens=[token(n) for n in waiting], max_attempts=3, lease_seconds=15, worker="w")
                | {"room_regions": ["US"], "room_models": ["m1"], "room_providers": ["p"], "rooms": [20], "places": 20},
                MOST + MOST // 2,
                "twenty leases, and the rows of their first calls, which answers.start would write",
            )
        ],
        "region_runs.stored": [Case("worker", of_jobs(held))],
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
        "sweep.page": [
            Case("publisher", {"after": "job-5", "page": PAGE, **NOBODY}, MOST, "a page of 500 jobs is locked")
        ],
        "sweep.fill": [
            Case("publisher", {"batch": fill.BATCH}, 5 * MOST, "100 jobs are counted and written, with their indexes")
        ],
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
                of_jobs(waiting, reasons=[REASON] * 20),
                MOST + USUAL // 2,
                "twenty regions end: a run, an execution, an event and a version for each, this in each index of a job",
            )
        ],
        "sweep.silent": [
            Case("publisher", {"job_ids": page, "as_of": NOW - timedelta(seconds=30)}, 12 * PAGE, "as sweep.doomed")
        ],
        "sweep.clock": [Case("publisher doctor")],
        "sweep.topics": [Case("publisher")],
        "retention.outbox_due": [
            Case("publisher", {"batch": BATCH, "days": 7, **NOBODY}),
            Case(
                "publisher",
                {"batch": BATCH, "days": 1, **NOBODY},
                10 * BATCH,
                "locks 5,000 rows and asks for their jobs",
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
        "retention.embeddings_due": [Case("publisher", {"batch": BATCH, "days": 30, **NOBODY})],
        "retention.embeddings": [
            Case("publisher", {"texts": [f"{n:064x} m" for n in range(BATCH)]}, 8 * BATCH, "removes 5,000 rows")
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
                "removes 100 jobs with the rows of eight tables",
            ),
        ],
    }
)
