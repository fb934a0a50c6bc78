"""Writes the traces of jobs: the events of each job by transaction, as one JSON line a job."""

import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

# Events of one transaction have the same xmin, because no verb writes events in a subtransaction.
TRACES = """
SELECT j.id AS job_id, j.plan, j.min_regions,
       (SELECT jsonb_agg(jsonb_build_object('type', v.type, 'region', v.region, 'model', v.model_id, 'detail', v.detail,
                                            'transaction', v.xmin::text) ORDER BY v.seq)
          FROM job_events v WHERE v.job_id = j.id) AS events
  FROM jobs j ORDER BY j.id
"""


def write(ask: Callable[[str], list[dict[str, Any]]], file: Path) -> int:
    """Write the trace of every job that `ask` finds in its database; return the number of jobs."""
    jobs = ask(TRACES)
    with file.open("w") as lines:
        for job in jobs:
            grouped = groupby(job.pop("events"), key=lambda event: event.pop("transaction"))
            job["transactions"] = [list(events) for _, events in grouped]
            lines.write(json.dumps(job) + "\n")
    return len(jobs)
