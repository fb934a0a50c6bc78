"""What the statements that only read are typically asked, for clients, pages, metrics, doctor and preflight."""

from datetime import timedelta

from runner_core.grants import logins
from runner_core.limits import MAX_COUNTED_BY_STATUS, MAX_COUNTED_UNITS, MAX_ENDED, MAX_FEW, MAX_LOOKED
from tests.cells import CELL
from tests.integration.crowd import ENDED, job_id, region
from tests.integration.typical_parameters import (
    ALIVE,
    COUNT,
    COUNTED,
    COUNTS,
    MOST,
    NOW,
    REGIONS,
    RIGHTS,
    STUCK,
    Case,
    ended,
    job,
    leases,
    open_job,
    place,
)

LIST = {"before": str(NOW - timedelta(hours=1)), "before_id": "x", "since": "-infinity"}
NAMED = {"ids": ["job-cafe", "job-1"], "last": "\U0010ffff", "path": None, "most": MAX_FEW + 1}
MANY = [job_id(n) for n in range(40_000, 40_100)]
LOOKED = "a thousand jobs are looked at, to find those that the other filters want"
FEW = "up to 501 jobs of an index, in no order"

READS: dict[str, list[Case]] = {
    "doctor.settings": [Case("doctor", {"names": ["fsync"]})],
    "doctor.alive": [Case("doctor", ALIVE)],
    "identity.database": [Case("publisher worker doctor")],
    "identity.server": [Case("publisher worker doctor")],
    "identity.timeline": [Case("api publisher worker analyst doctor")],
    "lists.newest": [
        Case("api", {**LIST, "path": path, "most": MAX_LOOKED}, MOST, LOOKED) for path in (None, '$.*[*] ? (@ == "m1")')
    ],
    "lists.by_state": [
        Case("api", {**LIST, "path": '$."EU"', "state": state, "most": MAX_LOOKED}, MOST, LOOKED)
        for state in ("completed", "failed", "queued", "partial")
    ],
    "lists.with_failures": [Case("api", {**LIST, "path": '$."EU"', "most": MAX_LOOKED}, MOST, LOOKED)],
    "lists.by_submitter": [
        Case("api", {**LIST, "path": None, "submitter": name, "most": MAX_LOOKED}, MOST, LOOKED)
        for name in ("tester 3", "nobody")
    ],
    "lists.named": [
        Case("api", {**NAMED, "names": names}, MOST, FEW)
        for names in (["nightly 17", "NIGHTLY 17", "Nightly 17"], ["none"])
    ],
    "lists.planned": [
        Case("api", {"path": place + model, "in_any": "$.*" + model, "most": MAX_FEW + 1}, MOST, FEW)
        for place in ("$.*", '$."ASIA"', '$."MARS"')
        for model in ('[*] ? (@ == "m1")', '[*] ? (@ == "none")')
    ],
    "lists.in_region": [
        Case("api", {"region": name, "most": MAX_FEW + 1}, MOST, FEW) for name in ("US", "ASIA", "MARS")
    ],
    "lists.shown": [
        Case("api", {"job_ids": MANY[:51], "progress": True}, MOST, COUNTED),
        Case("api", {"job_ids": MANY, "progress": False}, MOST, "a hundred jobs by their ids, half of them counted"),
    ],
    "lists.calls": [Case("api", {"job_ids": MANY}, MOST, "a hundred jobs by their ids, half of them counted")],
    "lists.ended": [Case("api", {"most": MAX_ENDED}, MOST, "the jobs that ended in an hour")],
    "metrics.outbox": [Case("api publisher doctor", COUNT, MOST, COUNTS)],
    "metrics.jobs": [Case("publisher", COUNT, MOST, COUNTS)],
    "metrics.late": [
        Case(
            "publisher doctor",
            {"grace_seconds": 45, **STUCK, **COUNT},
            MOST,
            "each of 200 running jobs is asked for its deadline",
        )
    ],
    "metrics.regions": [Case("publisher", ALIVE, 5 * MOST, REGIONS)],
    "migrations.backend": [Case("doctor")],
    "migrations.applied": [Case("api publisher worker analyst doctor")],
    "portal.counts": [Case("api", {"most": MAX_COUNTED_BY_STATUS})],
    "portal.job": [Case("api", job)],
    "portal.regions": [Case("api", job), Case("api", open_job)],
    "portal.calls": [Case("api", {**one, "characters": 240}) for one in (job, open_job)],
    "portal.units": [Case("api", job)],
    "portal.siblings": [Case("api", {**job, "model_id": "m1"})],
    "portal.held": [Case("api", {"few": 4})],
    "portal.intervals": [
        Case(
            "api",
            {**window, "split": split, "most_counted": MAX_COUNTED_UNITS},
            MOST,
            "the rows of at most 6,000 units are read, and the others are counted in the index",
        )
        for window in (
            {"hours": 1, "minutes": 1, "most_read": 100},
            {"hours": 6, "minutes": 5, "most_read": 83},
            {"hours": 24, "minutes": 15, "most_read": 62},
        )
        for split in (None, "region", "provider")
    ],
    "portal.ended": [Case("api", {"after": NOW - timedelta(hours=24), "until": NOW, "page": 201})],
    "preflight.server": [Case("api publisher worker analyst doctor", {"schema": CELL.schema})],
    "preflight.creators": [Case("doctor", {"schema": CELL.schema, "logins": list(logins(CELL))})],
    "preflight.switches": [Case("doctor", {"logins": list(logins(CELL))})],
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
    "reads.dead": [Case("api", {"page": 50})],
    "reads.stuck": [Case("api", {"page": 50, **STUCK})],
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
    "rights.logins": [Case("doctor", {"logins": list(logins(CELL))})],
    "rights.missing": [
        Case("api publisher worker analyst doctor", RIGHTS, MOST, "each right is looked up in the catalogues")
    ],
    "rights.database": [Case("doctor")],
}
